# Declarations of the C libraries and of the parts of CPython's C API that Cython does not declare itself. Nothing here has code.
