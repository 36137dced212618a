/* A libcuda.so.1 of ours: it answers what the environment says. FAKE_CUDA_INIT is the code of cuInit, FAKE_CUDA_VERSION
 * the number of cuDriverGetVersion, FAKE_CUDA_COUNT of devices; FAKE_CUDA is "hang" or "kill". CUDA_VISIBLE_DEVICES=""
 * leaves no device, as the real one does. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuDriverGetVersion(int *version) {
    *version = number("FAKE_CUDA_VERSION", 13000);
    return 0;
}

int cuInit(unsigned flags) {
    const char *how = getenv("FAKE_CUDA"), *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)flags;
    if (how && !strcmp(how, "hang")) {
        for (;;) pause();
    }
    if (how && !strcmp(how, "kill")) kill(getpid(), SIGSEGV);
    if (visible && !*visible) return 100;
    return number("FAKE_CUDA_INIT", 0);
}

int cuGetErrorName(int code, const char **name) {
    *name = code ? "CUDA_ERROR_OF_A_TEST" : "CUDA_SUCCESS";
    return 0;
}

int cuGetErrorString(int code, const char **text) {
    *text = code ? "as the test says" : "no error";
    return 0;
}

int cuDeviceGetCount(int *count) {
    *count = number("FAKE_CUDA_COUNT", 2);
    return 0;
}

int cuDeviceGet(int *device, int index) {
    *device = index;
    return 0;
}

int cuDeviceGetName(char *name, int size, int device) {
    (void)device;
    strncpy(name, "Fake GPU", (size_t)size);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 75 ? 9 : 0;
    return 0;
}
