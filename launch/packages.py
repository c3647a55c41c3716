"""What is known about packages by name: which decide predictions, and which stand for another one."""

from loading import packages

# Packages that compute predictions, or hold the classes of a fitted model. They stay as a model pins them; all others
# move to a version that can be installed.
DECIDING = packages.DECIDING | frozenset(
    {
        *("autogluon-core", "autogluon-tabular", "category-encoders", "dill", "fastai", "feature-engine", "flaml"),
        *("gensim", "imbalanced-learn", "interpret", "jax", "jaxlib", "joblib", "lifelines", "lightning", "mlxtend"),
        *("nltk", "onnx", "pandas", "pmdarima", "polars", "pycaret", "pyod", "pytorch-lightning", "scipy"),
        *("sentence-transformers", "sktime", "statsforecast", "torchvision", "tpot", "xgbse"),
    }
)
# The first version of a package that runs with NumPy 2, for packages whose earlier ones don't refuse it.
FIRST_WITH_NUMPY_2 = {"lightgbm": "4.4", "pandas": "2.2.2", "scikit-learn": "1.4", "statsmodels": "0.14.2"}
# The key of a library's version in a flavor of MLmodel -> its package.
FLAVOR_VERSIONS = {
    "catboost_version": "catboost",
    "fastai_version": "fastai",
    "keras_version": "keras",
    "lgb_version": "lightgbm",
    "onnx_version": "onnx",
    "pmdarima_version": "pmdarima",
    "prophet_version": "prophet",
    "pytorch_version": "torch",
    "sklearn_version": "scikit-learn",
    "spacy_version": "spacy",
    "sktime_version": "sktime",
    "statsmodels_version": "statsmodels",
    "transformers_version": "transformers",
    "xgb_version": "xgboost",
}
# Builds without libraries for GPUs, which Cloud Functions doesn't have, and the first version that needs them.
CPU_BUILDS = {"tensorflow": ("tensorflow-cpu", "2.0"), "xgboost": ("xgboost-cpu", "2.1.1")}
# PyTorch's packages, and the index of their builds for CPUs.
TORCH = ("torch", "torchaudio", "torchvision")
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# What people and conda write -> the package on PyPI that it means.
RENAMED = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "sklearn": "scikit-learn",
    "tensorflow-intel": "tensorflow",
    "tensorflow-macos": "tensorflow",
}
# What conda.yaml lists besides Python packages.
CONDA_ONLY = frozenset(
    {
        *("blas", "bzip2", "ca-certificates", "cudatoolkit", "freetype", "gcc", "icu", "intel-openmp", "jpeg", "krb5"),
        *("ld_impl_linux-64", "lcms2", "llvm-openmp", "lz4-c", "mkl", "ncurses", "openjdk", "openssl", "python"),
        *("python_abi", "r-base", "readline", "sqlite", "tk", "tzdata", "ucrt", "vc", "vs2015_runtime", "xz", "zlib"),
        *("cudnn", "git", "graphviz", "nodejs", "qt", "yaml"),
        *("zstd", "numpy-base", "mkl-service", "mkl_fft", "mkl_random", "_libgcc_mutex", "_openmp_mutex"),
    }
)
