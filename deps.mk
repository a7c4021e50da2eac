# Where the libraries are. Debian's names first, then what a cluster's modules usually provide.
hdf5     := $(firstword $(foreach p,hdf5-openmpi hdf5-mpi hdf5,$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
blas     := $(firstword $(foreach p,openblas openblas-openmp blas-openblas,$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
PACKAGES := $(hdf5) $(blas) libpng libjpeg jansson libutf8proc libxxhash
PACKAGE_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null) $(if $(hdf5),,$(H5_CFLAGS))
PACKAGE_LIBS   = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) $(if $(hdf5),,$(H5_LIBS))
# Without a pkg-config file for HDF5, its compiler wrapper knows.
H5_CFLAGS = $(filter -I% -D%,$(shell h5pcc -show 2>/dev/null))
H5_LIBS   = $(filter -L% -l% %.a -Wl%,$(shell h5pcc -show 2>/dev/null))
# Without this the loader takes Debian's pthread OpenBLAS, whatever we linked with.
LDFLAGS  += $(if $(blas),-Wl$(comma)-rpath$(comma)$(shell pkg-config --variable=libdir $(blas) 2>/dev/null))
comma := ,

DEBIAN_PACKAGES := gcc make pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev \
    libopenblas-openmp-dev libpng-dev libjpeg62-turbo-dev libjansson-dev libutf8proc-dev libxxhash-dev \
    libcmocka-dev python3-h5py python3-numpy

# For tests/cluster, which does without them and says so.
CLUSTER_PACKAGES := slurm-wlm munge iproute2

# For the programs in analysis/, whose tests do without them and say so.
ANALYSIS_PACKAGES := python3-pil

# For `make fuzz` alone.
FUZZ_PACKAGES := clang libclang-rt-14-dev libomp-dev

# For `make valgrind` alone.
VALGRIND_PACKAGES := valgrind

.PHONY: deps-build deps-analysis deps-cluster deps-fuzz deps-valgrind
deps: deps-build deps-analysis deps-cluster
deps-build:
	@DEBIAN_PACKAGES='$(DEBIAN_PACKAGES)' sh jobs/deps.sh
deps-analysis:
	@DEBIAN_PACKAGES='$(ANALYSIS_PACKAGES)' sh jobs/deps.sh --optional
deps-cluster:
	@DEBIAN_PACKAGES='$(CLUSTER_PACKAGES)' sh jobs/deps.sh --optional
deps-fuzz: deps-build
	@DEBIAN_PACKAGES='$(FUZZ_PACKAGES)' sh jobs/deps.sh
deps-valgrind:
	@DEBIAN_PACKAGES='$(VALGRIND_PACKAGES)' sh jobs/deps.sh
