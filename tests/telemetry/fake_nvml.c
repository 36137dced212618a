/* A libnvidia-ml.so.1 that does what the environment says, with as many GPUs as it says. What it answers when it is
 * told nothing is what a healthy H200 answers (driver 580), with a figure of its own for each GPU where tests tell
 * them apart.
 *
 *   FAKE_NVML_GPUS        how many GPUs (default 2)
 *   FAKE_NVML_INIT        what nvmlInit returns (default 0), or "hang"
 *   FAKE_NVML_RULES       GPU:FUNCTION:CODE[:AFTER],... where GPU and FUNCTION may be "*", CODE is a return code,
 *                         "hang", "segv" or "print" (a line on stdout, and then the answer), and AFTER is how many such calls still answer; the first that fits counts
 *   FAKE_NVML_HIDE        FUNCTION,... answer 13, as if the driver did not know them
 *   FAKE_NVML_BARE        GPU,... (or "*") that answer 3 to everything but who they are
 *   FAKE_NVML_VALUES      GPU:NAME:VALUE[:STEP],... what a function of one number answers; NAME is the function's,
 *                         FI<id> or FI<id>.<scope> of a field, or what is between quotes below, such as mig_parts; VALUE "!3" makes a field return 3; STEP is added at
 *                         each reading and may be negative
 *   FAKE_NVML_PROCESSES   GPU:PID:BYTES[:SM[:INSTANCE[:KIND]]],... SM in percent, INSTANCE -1 for none, KIND is
 *                         compute, graphics or mps
 *   FAKE_NVML_GENERATION  a file: when it changes, all calls answer 1 until nvmlInit; a number in it counts the GPUs
 *   FAKE_NVML_XIDS        a file: each line "GPU XID" that is added is an event
 *   FAKE_NVML_WAVE        if set, use, power, heat and clocks differ from second to second
 *   FAKE_NVML_DELAY_US    how long each call takes
 *   FAKE_NVML_CALLS       a file that gets one line "FUNCTION GPU" a call
 * -DOLD_DRIVER leaves out the symbols that drivers before R525 lack.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u32 gpu, memory; } Utilization;
typedef struct { u64 total, free, used; } Memory;
typedef struct { u32 version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { u32 id, scope; long long stamp, latency; u32 type, code; union { u32 u; int i; u64 wide; } value; } Field;
typedef struct { u32 pid; u64 memory; u32 instance, compute_instance; } Process;
typedef struct { u32 pid; u64 stamp; u32 sm, memory, encoder, decoder; } Use;
typedef struct { u64 since, nanoseconds; } Violation;
typedef struct { u32 max, high, partial, low, none; } Histogram;
typedef struct { u32 version; u64 count[11]; u32 exceeded; } Sram;
typedef struct { u32 version; unsigned char cluster[16]; u32 status, clique, state, mask; } Fabric;
typedef struct { void *device; u64 type, data; u32 instance, compute_instance; } Event;

#define GIB (1ULL << 30)
#define MAX_RULES 32
#define MAX_GPUS 128
#define NOBODY 0xffffffffu

static u32 calls_of_rule[MAX_RULES], readings_of_value[MAX_RULES][MAX_GPUS];
static long born; /* what the file of the generation held at nvmlInit */

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int wave(int gpu) {
    struct timeval now;
    if (!getenv("FAKE_NVML_WAVE") || gettimeofday(&now, NULL)) return 0;
    return (int)((now.tv_sec * 7 + now.tv_usec / 250000 + gpu * 13) % 50);
}

static void hang(void) { for (;;) pause(); }

static int gpu_of(void *device) { return (int)(((long)device - 1) & 0xfff); }
static int part_of(void *device) { return (int)((long)device >> 12) - 1; } /* -1: the whole GPU */

static void record(const char *function, int gpu) {
    const char *path = setting("FAKE_NVML_CALLS", NULL);
    char line[128];
    int handle = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (handle < 0) return;
    if (write(handle, line, (size_t)snprintf(line, sizeof line, "%s %d\n", function, gpu)) < 0) perror(path);
    close(handle);
}

/* The entries of a setting, one after the other. */
#define EACH(entry, name, size)                                                                                        \
    char entry##s[size], *entry##_rest, *entry;                                                                        \
    snprintf(entry##s, sizeof entry##s, "%s", setting(name, ""));                                                      \
    for (entry = strtok_r(entry##s, ",", &entry##_rest); entry; entry = strtok_r(NULL, ",", &entry##_rest))

static int is_for(const char *which, int gpu) { return !strcmp(which, "*") || atoi(which) == gpu; }

static int listed(const char *list, const char *word) {
    EACH(entry, list, 4096) if (!strcmp(entry, word) || !strcmp(entry, "*")) return 1;
    return 0;
}

static long generation(void) {
    const char *path = setting("FAKE_NVML_GENERATION", NULL);
    char text[32] = "";
    int handle = path ? open(path, O_RDONLY) : -1;
    if (handle < 0) return -1;
    if (read(handle, text, sizeof text - 1) < 0) perror(path);
    close(handle);
    return atol(text);
}

static int ruled(const char *function, int gpu) {
    int number = 0;
    EACH(rule, "FAKE_NVML_RULES", 2048) {
        char which[8], name[64], code[8];
        u32 after = 0, here = (u32)number++;
        if (here >= MAX_RULES || sscanf(rule, "%7[^:]:%63[^:]:%7[^:]:%u", which, name, code, &after) < 3) continue;
        if (!is_for(which, gpu) || (strcmp(name, "*") && strcmp(name, function))) continue;
        if (__atomic_fetch_add(&calls_of_rule[here], 1, __ATOMIC_SEQ_CST) < after) return 0;
        if (!strcmp(code, "hang")) hang();
        if (!strcmp(code, "segv")) raise(SIGSEGV);
        if (!strcmp(code, "print")) puts("the fake driver prints"), fflush(stdout);
        return atoi(code);
    }
    return 0;
}

/* The code that this call must return. */
static int told(const char *function, void *device) {
    int gpu = gpu_of(device), code;
    char text[8];
    record(function, device ? gpu : -1);
    if (getenv("FAKE_NVML_DELAY_US")) usleep((useconds_t)atol(getenv("FAKE_NVML_DELAY_US")));
    if (generation() != born) return 1;
    if ((code = ruled(function, device ? gpu : -1))) return code;
    if (listed("FAKE_NVML_HIDE", function)) return 13;
    snprintf(text, sizeof text, "%d", gpu);
    if (device && listed("FAKE_NVML_BARE", text) && !strstr("HandleByIndex_v2 UUID PciInfo_v3", function + 13)) return 3;
    return 0;
}

/* What the values say of a name, else `otherwise`; "!3" gives -3. */
static long long value(int gpu, const char *name, long long otherwise) {
    int number = 0;
    EACH(entry, "FAKE_NVML_VALUES", 4096) {
        char which[8], of[64], text[32];
        long long step = 0;
        u32 here = (u32)number++;
        if (here >= MAX_RULES || sscanf(entry, "%7[^:]:%63[^:]:%31[^:]:%lld", which, of, text, &step) < 3) continue;
        if (!is_for(which, gpu) || strcmp(of, name)) continue;
        if (*text == '!') return -atoll(text + 1);
        return atoll(text) + step * __atomic_fetch_add(&readings_of_value[here][gpu % MAX_GPUS], 1, __ATOMIC_SEQ_CST);
    }
    return otherwise;
}

#define DEVICE(name, parameters, ...)                                                                                  \
    int name parameters {                                                                                              \
        int code = told(#name, device), gpu = gpu_of(device), part = part_of(device);                                  \
        if (code) return code;                                                                                         \
        __VA_ARGS__;                                                                                                   \
        (void)gpu, (void)part;                                                                                         \
        return 0;                                                                                                      \
    }

/* Functions of one number, of two, of one that depends on an argument, and of a text. */
#define NUMBER(name, otherwise) DEVICE(name, (void *device, u32 *out), *out = (u32)value(gpu, #name, otherwise))
#define WIDE(name, otherwise) DEVICE(name, (void *device, u64 *out), *out = (u64)value(gpu, #name, otherwise))
#define PAIR(name, one, other)                                                                                         \
    DEVICE(name, (void *device, u32 *a, u32 *b), (*a = (u32)value(gpu, #name, one), *b = other))
#define CHOSEN(name, otherwise)                                                                                        \
    DEVICE(name, (void *device, u32 which, u32 *out), (void)which, *out = (u32)value(gpu, #name, otherwise))
#define TEXT(name, ...) DEVICE(name, (void *device, char *text, u32 size), snprintf(text, size, __VA_ARGS__))
#define REFUSED(name, code) int name(void *device) { int c = told(#name, device); return c ? c : code; }

/* --- the library -------------------------------------------------------------------------------------------------- */

int nvmlInitWithFlags(u32 flags) {
    const char *code = setting("FAKE_NVML_INIT", "0");
    (void)flags;
    record("nvmlInitWithFlags", -1);
    if (!strcmp(code, "hang")) hang();
    born = generation();
    memset(readings_of_value, 0, sizeof readings_of_value);
    return atoi(code);
}

int nvmlShutdown(void) { return record("nvmlShutdown", -1), 0; }
int nvmlSystemGetDriverVersion(char *text, u32 size) { return snprintf(text, size, "570.86.15") < 0; }
int nvmlSystemGetCudaDriverVersion(int *version) { return *version = 12080, 0; }
const char *nvmlErrorString(int code) { return (void)code, "what the fake driver calls it"; }

int nvmlDeviceGetCount_v2(u32 *count) {
    int code = told("nvmlDeviceGetCount_v2", NULL);
    long here = generation();
    *count = (u32)(here >= 0 ? here : atol(setting("FAKE_NVML_GPUS", "2")));
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(u32 index, void **device) {
    *device = (void *)(long)(index + 1);
    return told("nvmlDeviceGetHandleByIndex_v2", *device);
}

DEVICE(nvmlDeviceGetUUID, (void *device, char *text, u32 size),
       part < 0 ? snprintf(text, size, "GPU-fake-%d", gpu) : snprintf(text, size, "MIG-fake-%d-%d", gpu, part))
DEVICE(nvmlDeviceGetPciInfo_v3, (void *device, Pci *pci),
       snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", 0x17 + gpu))

/* --- fast and counters -------------------------------------------------------------------------------------------- */

DEVICE(nvmlDeviceGetUtilizationRates, (void *device, Utilization *rates),
       (rates->gpu = (u32)value(gpu, "utilization", 40 + gpu + wave(gpu)), rates->memory = 20u + (u32)gpu))
/* Version 1 counts what the driver reserves as used. */
DEVICE(nvmlDeviceGetMemoryInfo, (void *device, Memory *memory),
       if (part < 0) *memory = (Memory){80 * GIB, (u64)(69 - gpu) * GIB, (u64)(11 + gpu) * GIB};
       else *memory = (Memory){10 * GIB, 9 * GIB, GIB})
NUMBER(nvmlDeviceGetPowerUsage, 250500 + gpu * 1000 + wave(gpu) * 5000)
CHOSEN(nvmlDeviceGetTemperature, 50 + gpu + (int)which + wave(gpu) / 8)
CHOSEN(nvmlDeviceGetClockInfo, which == 1 ? 1900 + gpu - wave(gpu) : 2600 + gpu)
WIDE(nvmlDeviceGetCurrentClocksThrottleReasons, 0x4)
NUMBER(nvmlDeviceGetPerformanceState, 0)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, 700000)
PAIR(nvmlDeviceGetEncoderUtilization, 0, 100000)
PAIR(nvmlDeviceGetDecoderUtilization, 0, 100000)
REFUSED(nvmlDeviceGetFanSpeed, 3)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 16)
NUMBER(nvmlDeviceGetPcieReplayCounter, 1)
DEVICE(nvmlDeviceGetViolationStatus, (void *device, u32 policy, Violation *time),
       *time = (Violation){1795419630347376, (u64)value(gpu, policy ? "thermal" : "power", policy ? 0 : 2850710080)})

/* --- field values ------------------------------------------------------------------------------------------------- */

/* Id, type (1 u32, 3 u64, 5 int) and value, or a code that is returned instead. An id that is not here answers 2. */
static const struct { u32 id, type; long long value; u32 code; } FIELDS[] = {
    {1, 3, 1, 0}, {2, 3, 1, 0}, {3, 3, 0, 0}, {4, 3, 0, 0}, {5, 3, 0, 0}, {6, 3, 0, 0}, {29, 0, 0, 3}, {30, 0, 0, 3},
    {31, 0, 0, 3}, {74, 3, 2848745152, 0}, {75, 3, 0, 0}, {82, 1, 47, 0}, {83, 3, 5147531, 0}, {91, 1, 18, 0},
    {94, 1, 1, 0}, {138, 3, 0, 0}, {139, 3, 0, 0}, {142, 3, 0, 0}, {143, 3, 0, 0}, {144, 3, 0, 0}, {145, 3, 0, 0},
    {147, 1, 18, 0}, {161, 3, 0, 0}, {162, 3, 0, 0}, {163, 3, 0, 0}, {164, 1, 26562, 0}, {165, 1, 1, 0}, {166, 1, 6, 0},
    {173, 1, 0, 0}, {174, 1, 0, 0}, {175, 1, 14, 0}, {176, 1, 15, 0}, {177, 1, 11, 0}, {178, 1, 0, 0}, {179, 1, 0, 0},
    {180, 1, 0, 0}, {181, 1, 0, 0}, {182, 1, 0, 0}, {183, 1, 0, 0}, {194, 5, -2, 0}, {197, 1, 2727207264, 0},
    {198, 1, 1666555568, 0}, {202, 0, 0, 3}, {204, 0, 0, 3}, {208, 0, 0, 3}, {214, 0, 0, 3}, {226, 1, 0, 0},
    {227, 1, 0, 0}, {230, 1, 0, 0}, {269, 3, 0, 0}, {270, 3, 0, 0}, {271, 3, 0, 0},
};

static void answer_field(int gpu, Field *field) {
    char name[32], scoped[48];
    long long said;
    snprintf(name, sizeof name, "FI%u", field->id);
    snprintf(scoped, sizeof scoped, "%s.%d", name, (int)field->scope);
    field->code = 2;
    for (u32 i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        if (FIELDS[i].id != field->id) continue;
        said = value(gpu, scoped, value(gpu, name, FIELDS[i].code ? -(long long)FIELDS[i].code : FIELDS[i].value));
        field->type = FIELDS[i].type ? FIELDS[i].type : 3;
        field->code = said < 0 && field->type != 5 ? (u32)-said : 0;
        field->value.wide = field->type == 3 ? (u64)said : (u64)(u32)said;
    }
}

DEVICE(nvmlDeviceGetFieldValues, (void *device, int count, Field *fields),
       for (int i = 0; i < count; i++) answer_field(gpu, &fields[i]))

/* --- health ------------------------------------------------------------------------------------------------------- */

WIDE(nvmlDeviceGetTotalEnergyConsumption, 4884544)
DEVICE(nvmlDeviceGetMarginTemperature, (void *device, int *margin), margin[1] = (int)value(gpu, "margin", 28))
DEVICE(nvmlDeviceGetMemoryErrorCounter, (void *device, u32 kind, u32 counter, u32 place, u64 *count),
       if (place != 2 && place != 7) return 3;
       (void)kind, (void)counter, *count = (u64)value(gpu, place == 2 ? "dram" : "sram", 0))
DEVICE(nvmlDeviceGetRemappedRows, (void *device, u32 *correctable, u32 *uncorrectable, u32 *pending, u32 *failed),
       (*correctable = (u32)value(gpu, "remapped_correctable", 0),
        *uncorrectable = (u32)value(gpu, "remapped_uncorrectable", 0),
        *pending = (u32)value(gpu, "remap_pending", 0), *failed = (u32)value(gpu, "remap_failure", 0)))
DEVICE(nvmlDeviceGetRowRemapperHistogram, (void *device, Histogram *banks),
       *banks = ((Histogram){3072, 0, 0, 0, (u32)value(gpu, "banks_none", 0)}))
PAIR(nvmlDeviceGetMigMode, 0, 0)
NUMBER(nvmlDeviceGetPersistenceMode, 1)
NUMBER(nvmlDeviceGetComputeMode, 0)
CHOSEN(nvmlDeviceGetApplicationsClock, which == 1 ? 1980 : 3201)
DEVICE(nvmlDeviceGetBAR1MemoryInfo, (void *device, Memory *window),
       *window = ((Memory){274877906944, 273950441472, 927465472}))

/* --- static ------------------------------------------------------------------------------------------------------- */

DEVICE(nvmlDeviceGetName, (void *device, char *text, u32 size),
       part < 0 ? snprintf(text, size, "NVIDIA Fake %d", gpu) : snprintf(text, size, "NVIDIA Fake %d MIG 1g.10gb", gpu))
TEXT(nvmlDeviceGetSerial, "16501%05d", gpu)
TEXT(nvmlDeviceGetBoardPartNumber, "692-2G520-0282-000")
TEXT(nvmlDeviceGetVbiosVersion, "96.00.A5.00.1A")
TEXT(nvmlDeviceGetInforomImageVersion, "G520.0282.02.02")
DEVICE(nvmlDeviceGetGspFirmwareVersion, (void *device, char *text), snprintf(text, 64, "570.86.15"))
REFUSED(nvmlDeviceValidateInforom, 0)
PAIR(nvmlDeviceGetCudaComputeCapability, 9, 0)
PAIR(nvmlDeviceGetGspFirmwareMode, 1, 1)
REFUSED(nvmlDeviceGetNumaNodeId, 3)
NUMBER(nvmlDeviceGetMinorNumber, gpu)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, 700000)
PAIR(nvmlDeviceGetPowerManagementLimitConstraints, 200000, 700000)
CHOSEN(nvmlDeviceGetMaxClockInfo, which == 1 ? 1980 : 3201)
CHOSEN(nvmlDeviceGetTemperatureThreshold, which == 0 || which == 2 ? 95 : which == 1 ? 89 : 87)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, 16)

/* --- links, parts, neighbours ------------------------------------------------------------------------------------- */

CHOSEN(nvmlDeviceGetNvLinkState, which < 18)
CHOSEN(nvmlDeviceGetNvLinkVersion, which < 18 ? 6 : 0)
CHOSEN(nvmlDeviceGetNvLinkRemoteDeviceType, 2)
DEVICE(nvmlDeviceGetNvLinkRemotePciInfo_v2, (void *device, u32 link, Pci *pci),
       ((void)link, snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", 0x17 + (gpu ^ 1))))
DEVICE(nvmlDeviceGetNvLinkErrorCounter, (void *device, u32 link, u32 counter, u64 *count),
       ((void)link, (void)counter, *count = (u64)value(gpu, "link_errors", 0)))
DEVICE(nvmlDeviceGetP2PStatus, (void *device, void *other, u32 index, u32 *status),
       ((void)other, (void)index, *status = (u32)value(gpu, "p2p", 0)))
DEVICE(nvmlDeviceGetTopologyCommonAncestor, (void *device, void *other, u32 *level),
       ((void)other, *level = (u32)value(gpu, "level", 30)))
NUMBER(nvmlDeviceGetMaxMigDeviceCount, 7)
DEVICE(nvmlDeviceGetMigDeviceHandleByIndex, (void *device, u32 index, void **handle),
       if (index >= (u32)value(gpu, "mig_parts", 0)) return 6;
       *handle = (void *)((long)device + ((long)(index + 1) << 12)))
DEVICE(nvmlDeviceGetGpuInstanceId, (void *device, u32 *id), if (part < 0) return 2; *id = (u32)part + 7)
DEVICE(nvmlDeviceGetComputeInstanceId, (void *device, u32 *id), if (part < 0) return 2; *id = 0)

/* --- processes ---------------------------------------------------------------------------------------------------- */

typedef struct { Process process; u32 sm; char kind[12]; } Row;

/* The next row of the setting that is of this GPU and this kind ("*": any). */
static int row_of(const char *text, int gpu, const char *kind, Row *row) {
    int where = -1, instance = -1;
    *row = (Row){{0, 0, NOBODY, NOBODY}, 0, "compute"};
    if (sscanf(text, "%d:%u:%llu:%u:%d:%11s", &where, &row->process.pid, &row->process.memory, &row->sm, &instance,
               row->kind) < 3) return 0;
    row->process.instance = (u32)instance;
    return where == gpu && (*kind == '*' || !strcmp(kind, row->kind));
}

/* The first 16 bytes of a row are what drivers before R460 know of it. */
static int list(int gpu, u32 *count, void *rows, u64 size, const char *kind) {
    u32 found = 0, room = *count;
    EACH(text, "FAKE_NVML_PROCESSES", 65536) {
        Row row;
        if (!row_of(text, gpu, kind, &row)) continue;
        if (rows && found < room) memcpy((char *)rows + found * size, &row.process, size);
        found++;
    }
    *count = found;
    return found > (rows ? room : 0) ? 7 : 0;
}

#define LIST(name, size, kind) DEVICE(name, (void *device, u32 *count, void *rows), return list(gpu, count, rows, size, kind))

LIST(nvmlDeviceGetComputeRunningProcesses, 16, "compute")
LIST(nvmlDeviceGetComputeRunningProcesses_v2, 24, "compute")
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, 24, "graphics")
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, 24, "mps")

DEVICE(nvmlDeviceGetProcessUtilization, (void *device, Use *uses, u32 *count, u64 since),
       u32 found = 0, room = *count; struct timeval now; gettimeofday(&now, NULL); (void)since;
       EACH(text, "FAKE_NVML_PROCESSES", 65536) {
           Row row;
           if (!row_of(text, gpu, "*", &row) || !row.sm) continue;
           if (uses && found < room)
               uses[found] = (Use){row.process.pid, (u64)now.tv_sec * 1000000 + (u64)now.tv_usec, row.sm, 0, 0, 0};
           found++;
       }
       *count = found;
       return !found ? 6 : found > (uses ? room : 0) ? 7 : 0)

/* --- events ------------------------------------------------------------------------------------------------------- */

int nvmlEventSetCreate(void **set) { return *set = &born, told("nvmlEventSetCreate", NULL); }
int nvmlEventSetFree(void *set) { return (void)set, told("nvmlEventSetFree", NULL); }
WIDE(nvmlDeviceGetSupportedEventTypes, 65439)
DEVICE(nvmlDeviceRegisterEvents, (void *device, u64 types, void *set), ((void)types, (void)set))

int nvmlEventSetWait_v2(void *set, Event *event, u32 timeout_ms) {
    static long told_until;
    const char *path = setting("FAKE_NVML_XIDS", NULL);
    int code = told("nvmlEventSetWait_v2", NULL);
    (void)set;
    if (!code && !path) return usleep((useconds_t)timeout_ms * 1000), 10;
    for (u32 waited = 0; !code; waited += 5, usleep(5000)) {
        FILE *file = path ? fopen(path, "r") : NULL;
        int gpu, read = 0;
        u64 xid;
        if (file && !fseek(file, told_until, SEEK_SET)) read = fscanf(file, "%d %llu\n", &gpu, &xid);
        if (file && read == 2) told_until = ftell(file);
        if (file) fclose(file);
        if (read == 2) return *event = (Event){(void *)(long)(gpu + 1), 8, xid, NOBODY, NOBODY}, 0;
        if (waited >= timeout_ms) return 10;
    }
    return code;
}

/* --- newer drivers ------------------------------------------------------------------------------------------------ */

#ifndef OLD_DRIVER
WIDE(nvmlDeviceGetCurrentClocksEventReasons, 0)
DEVICE(nvmlDeviceGetMemoryInfo_v2, (void *device, MemoryV2 *memory),
       (memory->total = 80 * GIB, memory->reserved = GIB, memory->used = (u64)(10 + gpu) * GIB,
        memory->free = (u64)(69 - gpu) * GIB))
LIST(nvmlDeviceGetComputeRunningProcesses_v3, 24, "compute")
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, 24, "graphics")
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, 24, "mps")
DEVICE(nvmlDeviceGetSramEccErrorStatus, (void *device, Sram *status),
       u64 seen = (u64)value(gpu, "sram", 0);
       *status = ((Sram){status->version, {seen, 0, 0, seen}, (u32)value(gpu, "sram_exceeded", 0)}))
DEVICE(nvmlDeviceGetGpuFabricInfoV, (void *device, Fabric *fabric),
       if (fabric->version >> 24 == 3 && value(gpu, "fabric_v2", 0)) return 25;
       (fabric->status = 0, fabric->clique = 0, fabric->state = (u32)value(gpu, "fabric", 3), fabric->mask = 0))
DEVICE(nvmlDeviceGetUnrepairableMemoryFlag_v1, (void *device, u32 *flag), flag[1] = (u32)value(gpu, "unrepairable", 0))
DEVICE(nvmlDeviceGetRepairStatus, (void *device, u32 *status),
       (status[1] = (u32)value(gpu, "repair_pending", 0), status[2] = 0))
#endif
