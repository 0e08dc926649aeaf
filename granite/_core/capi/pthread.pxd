# Mutexes and conditions of POSIX.

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_condattr_t:
        pass

    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_destroy(pthread_mutex_t *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)
    int pthread_cond_init(pthread_cond_t *, pthread_condattr_t *)
    int pthread_cond_destroy(pthread_cond_t *)
    int pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *)
    int pthread_cond_signal(pthread_cond_t *)
    int pthread_cond_broadcast(pthread_cond_t *)

cdef extern from *:
    """
    #include <pthread.h>
    #include <time.h>

    /* Wait for `seconds` at most, on a clock that nobody sets; 0 when it was signalled. */
    #ifdef __APPLE__
    static inline int granite_cond_wait_for(pthread_cond_t *cond, pthread_mutex_t *mutex, double seconds)
    {
        struct timespec left = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
        return pthread_cond_timedwait_relative_np(cond, mutex, &left);
    }
    static inline int granite_cond_init(pthread_cond_t *cond) { return pthread_cond_init(cond, NULL); }
    #else
    static inline int granite_cond_wait_for(pthread_cond_t *cond, pthread_mutex_t *mutex, double seconds)
    {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        seconds += until.tv_nsec / 1e9;
        until.tv_sec += (time_t)seconds;
        until.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9);
        return pthread_cond_timedwait(cond, mutex, &until);
    }
    static inline int granite_cond_init(pthread_cond_t *cond)
    {
        pthread_condattr_t attributes;
        int error = pthread_condattr_init(&attributes);
        if (!error)
            error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (!error)
            error = pthread_cond_init(cond, &attributes);
        pthread_condattr_destroy(&attributes);
        return error;
    }
    #endif
    """
    int granite_cond_init(pthread_cond_t *) nogil
    int granite_cond_wait_for(pthread_cond_t *, pthread_mutex_t *, double) nogil
