# The machine at hand: amd64, built natively.
ARCH    := amd64
CROSS   :=
SYSROOT :=
RUNNER  :=
