# What the kernel files share of C: functions in copies for each vector unit; fetching ahead.

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
      #define FASTPONG_FETCH(place) __builtin_prefetch(place)
    #else
      #define FASTPONG_INLINE
      #define FASTPONG_FETCH(place) ((void)(place))
    #endif
    #endif
    """
    ctypedef void inlined "FASTPONG_INLINE void"
    ctypedef void cloned "FASTPONG_CLONES void"    # the result type of a function in copies
    void fetch "FASTPONG_FETCH"(const void *place) noexcept nogil    # bring a cache line nearer
