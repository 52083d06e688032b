/* What a Cortex-M4 does before main: the floating-point unit on, .data copied, .bss cleared. Output goes to the debugger
 * (semihosting, newlib's librdimon), which is QEMU here. Names with underscores in front are the linker script's
 * and newlib's. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top, data_begin, data_end, data_from, bss_begin, bss_end;
int main(void);
void initialise_monitor_handles(void);
void _init(void);
void _fini(void);

void reset(void);
void reset(void)
{
    volatile uint32_t *const coprocessors = (volatile uint32_t *)0xE000ED88u; /* CPACR */
    *coprocessors |= 0xFu << 20;                                              /* CP10, CP11 */
    __asm volatile("dsb\n\tisb");
    for (uint32_t *to = &data_begin, *from = &data_from; to < &data_end;)
        *to++ = *from++;
    for (uint32_t *to = &bss_begin; to < &bss_end;)
        *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}

static void fault(void)
{
    abort();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};

/* newlib's exit calls them; there are no constructors here. */
void _init(void)
{
}

void _fini(void)
{
}
