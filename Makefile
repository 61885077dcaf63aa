# make                          build imgbuild (release) as target/release/imgbuild
# make images RECIPE=pi-2node   build the program and all images of a recipe
# make test                     install what the tests need (as root) and run all of them
# make check                    formatting, lints, generated files
# make bench                    the figures the README claims, against the field's tools
# make dist                     static binaries for x86_64 and aarch64, as dist/imgbuild-*
# make dist-test                the tests of the program alone, on this machine's binary of these

RECIPE ?= pi-2node
CARGO ?= cargo
IMGBUILD = target/release/imgbuild

# What the tests judge with, as Debian and Ubuntu name it. Nothing of it is needed to build.
TEST_PACKAGES = binutils bmap-tools cpio curl debian-archive-keyring dosfstools dpkg e2fsprogs \
	fdisk file gdisk git gpgv grub-common grub-pc-bin iproute2 kmod libvirt-clients libxml2-utils \
	minisign mmdebstrap mtools nftables openssh-client openssl ovmf procps qemu-efi-aarch64 \
	qemu-system-arm qemu-system-x86 qemu-utils socat squashfs-tools strace systemd tar time \
	util-linux wpasupplicant xz-utils zstd
# One test compiles with the machine's own go, whichever it is.
TEST_PACKAGES += $(if $(shell command -v go),,golang-go)

.PHONY: all build images test test-packages check bench dist dist-test docs clean

all: build

build:
	$(CARGO) build --release --locked --bin imgbuild

images: build
	$(IMGBUILD) --recipe $(RECIPE)

# A test waits now and then, for a disk, a server or a machine's clock: one more than there are
# processors runs at a time.
test: test-packages
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(($$(nproc) + 1))} \
	  $(CARGO) test --workspace --locked --no-fail-fast

# As root the missing packages are installed; otherwise they are named and the run ends.
test-packages:
	@missing=""; for package in $(TEST_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
	    || missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -q -y --no-install-recommends $$missing; \
	else echo "The tests need these packages; install them first:" >&2; \
	  echo "  sudo apt-get install --no-install-recommends$$missing" >&2; exit 1; fi

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

bench: build
	bash benches/run $(IMGBUILD)

dist:
	CARGO=$(CARGO) packaging/dist

dist-test: dist test-packages
	IMGBUILD_DIST_BINARY=$$(realpath dist/imgbuild-*-$$(uname -m)) \
	  $(CARGO) test --workspace --locked --test commands dist::

# The committed copies of what the program says of itself; a test compares them.
docs: build
	$(IMGBUILD) reference > docs/recipe-reference.md
	$(IMGBUILD) reference --schema > docs/recipe.schema.json
	$(IMGBUILD) reference --output > docs/output.md
	$(IMGBUILD) reference --output --schema > docs/output.schema.json

clean:
	$(CARGO) clean
