# What the kernel files share of C: functions in copies for each vector unit.

cdef extern from *:
    """
    #ifndef FASTPONG_CLONES
    /* One copy of a function for each vector unit, chosen when the module is loaded. */
    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
      #define FASTPONG_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
    #else
      #define FASTPONG_CLONES
    #endif
    #if defined(__GNUC__)
      #define FASTPONG_INLINE __attribute__((always_inline))
    #else
      #define FASTPONG_INLINE
    #endif
    #endif
    """
    ctypedef void inlined "FASTPONG_INLINE void"
    ctypedef void cloned "FASTPONG_CLONES void"    # the result type of a function in copies
