/*
 * Preloaded into a node: makes one of its calls to the disk fail, when the test says so. The file
 * that FAILING_DISK names then holds `call errno part-of-the-path`; it is gone when that has
 * happened, so a node that tried again would succeed. With an errno of 0 all such calls wait for as
 * long as the file is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
  const char *order = getenv("FAILING_DISK");
  char meant[32], part[128], link[64], path[4096];
  int error;
  FILE *file = order == NULL ? NULL : fopen(order, "re");
  if (file == NULL) return 0;
  int read = fscanf(file, "%31s %d %127s", meant, &error, part);
  fclose(file);
  if (read != 3 || strcmp(meant, call) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  if (strstr(path, part) != NULL && error == 0) {
    while (access(order, F_OK) == 0) usleep(10000);
    return 0;
  }
  /* Of several threads one takes the order. */
  if (strstr(path, part) == NULL || unlink(order) != 0) return 0;
  errno = error;
  return 1;
}

int fdatasync(int fd) {
  if (fails("fdatasync", fd)) return -1;
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  return real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  if (fails("pwrite", fd)) return -1;
  ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  return real(fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  return pwrite64(fd, bytes, count, offset);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) {
  if (fails("pread", fd)) return -1;
  ssize_t (*real)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
  return real(fd, bytes, count, offset);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
  return pread64(fd, bytes, count, offset);
}
