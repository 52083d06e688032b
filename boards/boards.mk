# Boards: what they are, packages, images, updates. The work is done in boards/build; what a board is stands in
# boards/NAME. Included by the Makefile.
BOARD_TESTS := $(sort $(wildcard tests/boards/*_test.py tests/boards/*_test.sh))

.PHONY: boards board-data
boards: ## List the boards and how far each has been tried
	@boards/build/list.py

# For the test that the builder reads a board as make does.
board-data:
	@printf '%s\n' $(foreach v,ARCH CROSS SYSROOT RUNNER STATE KERNEL MODULES BOOT_FILES QEMU,'$(v)=$($(v))')

# --- packages ---
DEB_TREE := $(B)/deb

.PHONY: deb
deb: $(B)/weir ## Build a Debian package (BOARD=name, or ARCH=amd64, arm64, armhf)
	@rm -rf $(DEB_TREE)
	@env -u MAKEFLAGS $(MAKE) -s --no-print-directory install BOARD=$(BOARD) DESTDIR=$(abspath $(DEB_TREE)) PREFIX=/usr >/dev/null
	@boards/build/deb.py $(BOARD) $(DEB_TREE) $(B) $(VERSION) $(BUILD_TIME)

version:
	@echo $(VERSION)

# --- the core without an operating system ---
# Windows, statistics and detectors for a Cortex-M4; they take no heap and no system, which the link proves.
MCU_CORE  := pipeline/window.c pipeline/statistics.c $(filter-out %_pool.c,$(wildcard pipeline/detect/*.c)) pipeline/bytes.c pipeline/reason.c
MCU_FLAGS := -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -Os -ffunction-sections -fdata-sections
MCU_OBJECTS := $(patsubst %.c,build/mcu/obj/%.o,$(MCU_CORE) tests/mcu/digits.c tests/mcu/start.c)

.PHONY: mcu
mcu: build/mcu/digits.elf build/mcu/digits ## Run detection on a Cortex-M4 (QEMU) and compare every digit with this machine's
	@tests/mcu/compare.sh

build/mcu/digits.elf: $(MCU_OBJECTS) tests/mcu/m4.ld
	$(call say,LINK,$@)arm-none-eabi-gcc $(MCU_FLAGS) -nostartfiles --specs=nano.specs --specs=rdimon.specs -Wl,--gc-sections -T tests/mcu/m4.ld \
	-o $@ $(MCU_OBJECTS) -lm

build/mcu/obj/%.o: %.c | mcu-packages
	@mkdir -p $(@D)
	$(call say,CC,$<)arm-none-eabi-gcc $(filter-out --sysroot=%,$(STRICT)) $(MCU_FLAGS) -c -o $@ $<

build/mcu/digits: $(MCU_CORE) tests/mcu/digits.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)gcc $(filter-out --sysroot=% -MMD -MP,$(STRICT)) -O2 -o $@ $^ -lm

.PHONY: mcu-packages
mcu-packages:
	@.ci/install-packages mcu

# --- images ---
.PHONY: image boot-test flash
image: deb boards-packages ## Build a board's disk image (BOARD=name; as root)
	@boards/build/image.py $(BOARD) $(B)/weir_$(VERSION)_$(ARCH).deb $(VERSION)

boot-test: boot-packages ## Boot a board's image in QEMU, to the first reading and the first alert
	@tests/boards/slow/boot_test.py $(BOARD)

.PHONY: bundle update-test
bundle: boards-packages ## Make a signed update out of a board's image (BOARD=name; KEYS=folder, RELEASE=1)
	@boards/build/bundle.py $(BOARD) $(VERSION)

update-test: boot-packages boards-packages ## Offer a board in QEMU updates good and bad while devices publish (BOARD=name)
	@tests/boards/slow/update_test.py $(BOARD)

.PHONY: stream-test
stream-test: all boot-packages ## Count what of an update travels that is read as it is installed, on a Linux of user mode
	@tests/boards/slow/stream_test.py

.PHONY: power-cut-test
power-cut-test: boot-packages boards-packages ## Cut the power of a board in QEMU during an update (BOARD=name BOOTS=30 LOOKS=300 SEED=1)
	@SEED=$(or $(SEED),1) tests/boards/slow/data_cut_test.py $(or $(LOOKS),300)
	@SEED=$(or $(SEED),1) tests/boards/slow/slot_cut_test.py $(BOARD) $(or $(LOOKS),300)
	@SEED=$(or $(SEED),1) tests/boards/slow/power_cut_test.py $(BOARD) $(or $(BOOTS),30) $(or $(LOOKS),300)

flash: ## Write an image onto a medium, named twice (BOARD=rpi DEV=/dev/sdX AGAIN=/dev/sdX CONFIG= SSH_KEY= WIFI=NAME:FILE COUNTRY=DE)
	@boards/build/flash.py --board $(BOARD) --dev "$(DEV)" --again "$(AGAIN)" $(if $(CONFIG),--config "$(CONFIG)") \
	$(if $(SSH_KEY),--ssh-key "$(SSH_KEY)") $(if $(WIFI),--wifi "$(WIFI)" --country "$(COUNTRY)")

.PHONY: boot-packages
boot-packages:
	@.ci/install-packages run image boot

# --- what needs a root file system or a whole machine ---
BOOTED := $(notdir $(patsubst %/board.mk,%,$(shell grep -lE '^STATE *:= *booted' boards/*/board.mk)))
.PHONY: boards-test
boards-test: all packages boot-packages ## Run the boards' long tests: packages installed, images built twice and booted (as root)
	@for board in $(BOOTED); do env -u MAKEFLAGS $(MAKE) -s image BOARD=$$board || exit 1; done
	@began=$$(date +%s); TEST_TIMEOUT_S=3600 tests/run.py $(sort $(wildcard tests/boards/slow/*_test.py)); code=$$?; \
	echo "boards' tests: $$(($$(date +%s) - began)) s"; exit $$code

.PHONY: boards-packages
boards-packages:
	@.ci/install-packages image
