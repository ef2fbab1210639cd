# How threads that compute together wait for each other, and where they run meanwhile.

from libc.stdint cimport int32_t


cdef extern from *:
    """
    #include <limits.h>
    #include <sched.h>
    #include <stdint.h>
    #if defined(__linux__)
      #include <linux/futex.h>
      #include <sys/syscall.h>
      #include <unistd.h>
    #endif
    static void fastpong_wake(int32_t *round) {
        __atomic_add_fetch(round, 1, __ATOMIC_ACQ_REL);
    #if defined(__linux__)
        syscall(SYS_futex, round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    #endif
    }
    /* Return 1 when all of ``threads`` have called this, 0 when one of them has abandoned it.
       state: how many have come, rounds, whether it is abandoned; 0 at first. Most waits are
       shorter than it takes to wake a sleeping thread, and are spun out. But another thread may
       need the core, perhaps the one that is waited for: after some microseconds a thread
       sleeps. */
    static int fastpong_meet(int32_t *state, int32_t threads) {
        int32_t round = __atomic_load_n(&state[1], __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&state[2], __ATOMIC_ACQUIRE))
            return 0;
        if (__atomic_add_fetch(&state[0], 1, __ATOMIC_ACQ_REL) == threads) {
            __atomic_store_n(&state[0], 0, __ATOMIC_RELAXED);
            fastpong_wake(&state[1]);
        }
        else for (int n = 0; __atomic_load_n(&state[1], __ATOMIC_ACQUIRE) == round; n++) {
            if (n < 20000)
                continue;
    #if defined(__linux__)
            syscall(SYS_futex, &state[1], FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    #else
            sched_yield();
    #endif
        }
        return !__atomic_load_n(&state[2], __ATOMIC_ACQUIRE);
    }
    static void fastpong_abandon(int32_t *state) {
        __atomic_store_n(&state[2], 1, __ATOMIC_RELEASE);
        fastpong_wake(&state[1]);
    }
    /* Keep to one processor, until fastpong_release: thread 0 to ``core``, where it is, the others
       to such as are spread evenly among those allowed. On a virtual machine a thread is woken
       where its waker runs, since an idle processor counts as one that the host has taken away:
       two threads that keep waking each other would stay on one, each asleep while the other
       works. Processors that come to be allowed meanwhile are not, to these threads. */
    typedef struct {
        int held;
    #if defined(__linux__)
        cpu_set_t allowed;
    #endif
    } fastpong_place;
    static void fastpong_hold(fastpong_place *place, int core, int thread, int threads) {
        place->held = 0;
    #if defined(__linux__)
        cpu_set_t target;
        if (core < 0 || core >= CPU_SETSIZE
                || sched_getaffinity(0, sizeof place->allowed, &place->allowed)
                || !CPU_ISSET(core, &place->allowed) || CPU_COUNT(&place->allowed) < 2)
            return;
        int left = (int)((int64_t)thread * CPU_COUNT(&place->allowed) / threads), n = core;
        while (left > 0) {
            n = (n + 1) % CPU_SETSIZE;
            left -= CPU_ISSET(n, &place->allowed) != 0;
        }
        CPU_ZERO(&target);
        CPU_SET(n, &target);
        place->held = !sched_setaffinity(0, sizeof target, &target);
    #endif
    }
    static void fastpong_release(const fastpong_place *place) {
    #if defined(__linux__)
        if (place->held)
            sched_setaffinity(0, sizeof place->allowed, &place->allowed);
    #endif
    }
    static int fastpong_core(void) {
    #if defined(__linux__)
        return sched_getcpu();
    #else
        return -1;
    #endif
    }
    """
    int meet "fastpong_meet"(int32_t *state, int32_t threads) noexcept nogil
    void c_abandon "fastpong_abandon"(int32_t *state) noexcept nogil
    ctypedef struct Place "fastpong_place":
        pass
    void hold "fastpong_hold"(
        Place *place, int core, int thread, int threads) noexcept nogil
    void release "fastpong_release"(const Place *place) noexcept nogil
    int core_of_this_thread "fastpong_core"() noexcept nogil
