# Boards: what they are, packages, images, updates. The work is done in boards/build; what a board is stands in
# boards/NAME. Included by the Makefile.
BOARD_TESTS := $(sort $(wildcard tests/boards/*_test.py))

.PHONY: boards board-data
boards: ## List the boards and how far each has been tried
	@boards/build/list.py

# For the test that the builder reads a board as make does.
board-data:
	@printf '%s\n' $(foreach v,ARCH CROSS SYSROOT RUNNER STATE KERNEL MODULES BOOT_FILES QEMU,'$(v)=$($(v))')
