/* A libnvidia-ml.so.1 that does what the environment says, with as many GPUs as it says.
 *
 *   FAKE_NVML_GPUS       how many GPUs (default 2)
 *   FAKE_NVML_INIT       what nvmlInit returns (default 0), or "hang"
 *   FAKE_NVML_RULES      GPU:FUNCTION:CODE[:AFTER],... where GPU and FUNCTION may be "*", CODE is a return code or
 *                        "hang", and AFTER is how many such calls still answer; the first rule that fits counts
 *   FAKE_NVML_PROCESSES  GPU:PID:BYTES,... the compute processes
 *   FAKE_NVML_CALLS      a file that gets one line "FUNCTION GPU" a call
 *
 * -DOLD_DRIVER leaves out the symbols that drivers before R525 lack.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u32 gpu, memory; } Utilization;
typedef struct { u64 total, free, used; } Memory;
typedef struct { u32 version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { u32 id, scope; long long stamp, latency; u32 type, code; union { u32 u; u64 wide; } value; } Field;
typedef struct { u32 pid; u64 memory; u32 instance, compute_instance; } Process;

#define GIB (1ULL << 30)
#define MAX_RULES 16

static u32 calls_of_rule[MAX_RULES];

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static void hang(void) {
    for (;;) pause();
}

static void record(const char *function, int gpu) {
    const char *path = setting("FAKE_NVML_CALLS", NULL);
    char line[128];
    int handle = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (handle < 0) return;
    if (write(handle, line, snprintf(line, sizeof line, "%s %d\n", function, gpu)) < 0) perror(path);
    close(handle);
}

/* The code that this call must return, by the first rule that fits. */
static int told(const char *function, void *handle) {
    int gpu = (int)(long)handle - 1, number = 0;
    char rules[1024], *rest, *rule;
    record(function, gpu);
    snprintf(rules, sizeof rules, "%s", setting("FAKE_NVML_RULES", ""));
    for (rule = strtok_r(rules, ",", &rest); rule && number < MAX_RULES; rule = strtok_r(NULL, ",", &rest), number++) {
        char which[8], name[64], code[8];
        u32 after = 0;
        if (sscanf(rule, "%7[^:]:%63[^:]:%7[^:]:%u", which, name, code, &after) < 3) continue;
        if (strcmp(which, "*") && atoi(which) != gpu) continue;
        if (strcmp(name, "*") && strcmp(name, function)) continue;
        if (__atomic_fetch_add(&calls_of_rule[number], 1, __ATOMIC_SEQ_CST) < after) return 0;
        if (!strcmp(code, "hang")) hang();
        return atoi(code);
    }
    return 0;
}

#define DEVICE(name, parameters, answer)                                                                               \
    int name parameters {                                                                                              \
        int code = told(#name, device), gpu = (int)(long)device - 1;                                                   \
        if (code) return code;                                                                                         \
        answer;                                                                                                        \
        (void)gpu;                                                                                                     \
        return 0;                                                                                                      \
    }

int nvmlInitWithFlags(u32 flags) {
    const char *code = setting("FAKE_NVML_INIT", "0");
    (void)flags;
    record("nvmlInitWithFlags", -1);
    if (!strcmp(code, "hang")) hang();
    return atoi(code);
}

int nvmlSystemGetDriverVersion(char *text, u32 size) { return snprintf(text, size, "570.86.15") < 0; }
int nvmlSystemGetCudaDriverVersion(int *version) { return *version = 12080, 0; }
int nvmlDeviceGetCount_v2(u32 *count) { return *count = (u32)atoi(setting("FAKE_NVML_GPUS", "2")), 0; }
const char *nvmlErrorString(int code) { return (void)code, "what the fake driver calls it"; }

int nvmlDeviceGetHandleByIndex_v2(u32 index, void **device) {
    *device = (void *)(long)(index + 1);
    return told("nvmlDeviceGetHandleByIndex_v2", *device);
}

DEVICE(nvmlDeviceGetUUID, (void *device, char *text, u32 size), snprintf(text, size, "GPU-fake-%d", gpu))
DEVICE(nvmlDeviceGetPciInfo_v3, (void *device, Pci *pci),
       snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", 0x17 + gpu))
DEVICE(nvmlDeviceGetName, (void *device, char *text, u32 size), snprintf(text, size, "NVIDIA Fake %d", gpu))
DEVICE(nvmlDeviceGetUtilizationRates, (void *device, Utilization *rates),
       (rates->gpu = 40u + gpu, rates->memory = 20u + gpu))
DEVICE(nvmlDeviceGetPowerUsage, (void *device, u32 *milliwatts), *milliwatts = 250500u + gpu * 1000)
DEVICE(nvmlDeviceGetEnforcedPowerLimit, (void *device, u32 *milliwatts), *milliwatts = 700000u)
DEVICE(nvmlDeviceGetTemperature, (void *device, u32 sensor, u32 *celsius), (*celsius = 50u + gpu + sensor))
DEVICE(nvmlDeviceGetClockInfo, (void *device, u32 type, u32 *mhz), *mhz = type == 1 ? 1900u + gpu : 2600u + gpu)
DEVICE(nvmlDeviceGetPerformanceState, (void *device, u32 *state), *state = 0)
DEVICE(nvmlDeviceGetTotalEccErrors, (void *device, u32 kind, u32 counter, u64 *count),
       *count = kind == 1 && counter == 0 ? 0 : 99)
DEVICE(nvmlDeviceGetFieldValues, (void *device, int count, Field *fields),
       for (int i = 0; i < count; i++) (fields[i].code = 0, fields[i].value.u = 0))
DEVICE(nvmlDeviceGetCurrentClocksThrottleReasons, (void *device, u64 *reasons), *reasons = 0x4)

/* Version 1 counts what the driver reserves as used. */
DEVICE(nvmlDeviceGetMemoryInfo, (void *device, Memory *memory),
       (memory->total = 80 * GIB, memory->used = (11 + gpu) * GIB, memory->free = (69 - gpu) * GIB))

static int list(int gpu, u32 *count, Process *processes) {
    char text[1024], *rest, *word;
    u32 found = 0, room = *count;
    snprintf(text, sizeof text, "%s", setting("FAKE_NVML_PROCESSES", ""));
    for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        int where;
        u32 pid;
        u64 bytes;
        if (sscanf(word, "%d:%u:%llu", &where, &pid, &bytes) != 3 || where != gpu) continue;
        if (processes && found < room) processes[found] = (Process){pid, bytes, 0xffffffffu, 0xffffffffu};
        found++;
    }
    *count = found;
    return found > (processes ? room : 0) ? 7 : 0;
}

static int none(u32 *count) { return *count = 0, 0; }

DEVICE(nvmlDeviceGetComputeRunningProcesses_v2, (void *device, u32 *count, Process *processes),
       return list(gpu, count, processes))
DEVICE(nvmlDeviceGetGraphicsRunningProcesses_v2, (void *device, u32 *count, Process *processes),
       return ((void)processes, none(count)))

#ifndef OLD_DRIVER
DEVICE(nvmlDeviceGetCurrentClocksEventReasons, (void *device, u64 *reasons), *reasons = 0)
DEVICE(nvmlDeviceGetMemoryInfo_v2, (void *device, MemoryV2 *memory),
       (memory->total = 80 * GIB, memory->reserved = GIB, memory->used = (10 + gpu) * GIB,
        memory->free = (69 - gpu) * GIB))
DEVICE(nvmlDeviceGetComputeRunningProcesses_v3, (void *device, u32 *count, Process *processes),
       return list(gpu, count, processes))
DEVICE(nvmlDeviceGetGraphicsRunningProcesses_v3, (void *device, u32 *count, Process *processes),
       return ((void)processes, none(count)))
#endif
