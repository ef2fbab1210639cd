/* A file system that refuses: preloaded, it gives the errno of an environment variable.
 *
 *   REFUSE_FLOCK            flock, as Lustre and NFS without locks
 *   REFUSE_FSYNC_DIRECTORY  fsync of directories, as CIFS and FUSE
 *   REFUSE_FSYNC_FILE       fsync of files
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static int refused(const char *name) {
    const char *number = getenv(name);
    if (!number) return 0;
    errno = atoi(number);
    return 1;
}

int flock(int file, int operation) {
    int (*next)(int, int) = dlsym(RTLD_NEXT, "flock");
    return refused("REFUSE_FLOCK") ? -1 : next(file, operation);
}

int fsync(int file) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    struct stat found;
    const char *name = "REFUSE_FSYNC_FILE";
    if (!fstat(file, &found) && S_ISDIR(found.st_mode)) name = "REFUSE_FSYNC_DIRECTORY";
    return refused(name) ? -1 : next(file);
}
