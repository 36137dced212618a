/* A libze_loader.so.1 with one Intel GPU of two memory modules, from the structs of zes_api.h 1.13 (the layout is what
 * is tested: it is written here a second time, in C). FAKE_ZES_RULES is FUNCTION:CODE,... with a code in hex.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint32_t u32;
typedef uint64_t u64;
#define HEAD u32 stype; void *next
typedef struct { HEAD; u32 type, vendor, device, flags, subdevice, clock; u64 allocation; u32 contexts, priority, threads,
                 width, units, subslices, slices; u64 timer; u32 bits, kernel_bits; uint8_t uuid[16]; char name[256]; } Core;
typedef struct { HEAD; Core core; u32 subdevices; char serial[64], board[64], brand[64], model[64], vendor[64], driver[64]; } Device;
typedef struct { int32_t gen, width; int64_t bandwidth; } Speed;
typedef struct { HEAD; u32 domain, bus, device, function; Speed fastest; u32 bytes, packets, replays; } Pci;
typedef struct { HEAD; u32 status, quality, stability; Speed speed; } PciState;
typedef struct { u64 stamp, replays, packets, received, sent; Speed speed; } PciStats;
typedef struct { HEAD; u32 type, on_subdevice, subdevice; } Engine;
typedef struct { u64 active, stamp; } Stamped;
typedef struct { HEAD; u32 type, on_subdevice, subdevice, control, events; double min, max; } Frequency;
typedef struct { HEAD; double volts, request, tdp, efficient, actual; u32 throttle; } FrequencyState;
typedef struct { HEAD; u32 type, on_subdevice, subdevice, location; u64 physical; int32_t bus, channels; } Memory;
typedef struct { HEAD; u32 health; u64 free, size; } MemoryState;
typedef struct { HEAD; u32 on_subdevice, subdevice, control, threshold; int32_t usual, min, max; } Power;
typedef struct { u32 enabled; int32_t power, interval; } Sustained;
typedef struct { HEAD; u32 type, on_subdevice, subdevice; double max; u32 critical, one, two; } Temperature;
typedef struct { HEAD; u64 category[7]; } RasState;
typedef struct { HEAD; u32 pid; u64 memory, shared; u32 engines; } Process;

static u32 told(const char *function) {
    char rules[512], *rest, *rule;
    const char *given = getenv("FAKE_ZES_RULES");
    snprintf(rules, sizeof rules, "%s", given ? given : "");
    for (rule = strtok_r(rules, ",", &rest); rule; rule = strtok_r(NULL, ",", &rest)) {
        char name[64];
        u32 code;
        if (sscanf(rule, "%63[^:]:%x", name, &code) == 2 && !strcmp(name, function)) return code;
    }
    return 0;
}

/* A handle is a small number; what has a type is checked to be asked with the right one. */
#define ASKED(name, type, parameters, ...)                                                                             \
    u32 name parameters {                                                                                              \
        u32 code = told(#name);                                                                                        \
        if (code || (type && *(u32 *)out != type)) return code ? code : 0x78000004;                                    \
        __VA_ARGS__;                                                                                                   \
        return 0;                                                                                                      \
    }
#define LISTED(name, parameters, number)                                                                               \
    u32 name parameters {                                                                                              \
        u32 code = told(#name);                                                                                        \
        if (code) return code;                                                                                         \
        for (u32 i = 0; out && i < *count && i < number; i++) out[i] = (void *)(uintptr_t)(i + 1);                     \
        *count = number;                                                                                               \
        return 0;                                                                                                      \
    }
#define PARTS(name, number) LISTED(name, (void *device, u32 *count, void **out), (device ? number : 0u))
#define WHICH ((int)(uintptr_t)part - 1)

u32 zesInit(u32 flags) { return (void)flags, told("zesInit"); }
LISTED(zesDriverGet, (u32 *count, void **out), 1u)
LISTED(zesDeviceGet, (void *driver, u32 *count, void **out), (driver ? 1u : 0u))
PARTS(zesDeviceEnumEngineGroups, 2u)
PARTS(zesDeviceEnumMemoryModules, 3u)
PARTS(zesDeviceEnumPowerDomains, 2u)
PARTS(zesDeviceEnumTemperatureSensors, 3u)
PARTS(zesDeviceEnumFrequencyDomains, 2u)
PARTS(zesDeviceEnumRasErrorSets, 2u)

ASKED(zesDeviceGetProperties, 1, (void *device, Device *out),
      (void)device, strcpy(out->core.name, "Intel(R) Data Center GPU Max 1550"), memset(out->core.uuid, 0xab, 16),
      strcpy(out->serial, "LQAC13400"), strcpy(out->board, "unknown"), strcpy(out->driver, "1.3.27642"))
ASKED(zesDevicePciGetProperties, 2, (void *device, Pci *out),
      (void)device, out->domain = 0, out->bus = 0x3a, out->fastest = (Speed){5, 16, 64000000000})
ASKED(zesDevicePciGetState, 0x17, (void *device, PciState *out), (void)device, out->speed = (Speed){4, 8, -1})
ASKED(zesDevicePciGetStats, 0, (void *device, PciStats *out),
      static u64 second; (void)device, second++;
      *out = (PciStats){second * 1000000, 7, 0, second * 5000, second * 9000, {4, 8, -1}})
ASKED(zesEngineGetProperties, 5, (void *part, Engine *out), out->type = WHICH ? 0 : 1)
ASKED(zesEngineGetActivity, 0, (void *part, Stamped *out),
      static u64 second; second++; *out = (Stamped){WHICH ? second * 250000 : 0, second * 1000000})
ASKED(zesMemoryGetProperties, 0xb, (void *part, Memory *out), out->location = WHICH < 2)
ASKED(zesMemoryGetState, 0x1e, (void *part, MemoryState *out),
      (void)part, out->free = 60ull << 30, out->size = 64ull << 30)
ASKED(zesPowerGetProperties, 0xd, (void *part, Power *out),
      out->on_subdevice = WHICH == 0, out->usual = 600000, out->min = -1, out->max = 600000)
ASKED(zesPowerGetEnergyCounter, 0, (void *part, Stamped *out),
      static u64 second; second++; (void)part, *out = (Stamped){second * 420000000, second * 1000000})
u32 zesPowerGetLimits(void *part, Sustained *sustained, void *burst, void *peak) {
    return (void)part, (void)burst, (void)peak, *sustained = (Sustained){1, 500000, 10}, told("zesPowerGetLimits");
}
ASKED(zesTemperatureGetProperties, 0x14, (void *part, Temperature *out), out->type = (u32)WHICH)
ASKED(zesTemperatureGetState, 0, (void *part, double *out), *out = 40 + WHICH)
ASKED(zesFrequencyGetProperties, 9, (void *part, Frequency *out),
      out->type = (u32)WHICH, out->max = WHICH ? -1 : 1600)
ASKED(zesFrequencyGetState, 0x1b, (void *part, FrequencyState *out),
      out->actual = WHICH ? 3200 : 1450, out->throttle = WHICH ? 0 : 0x1 | 0x8)
ASKED(zesRasGetProperties, 0xf, (void *part, Engine *out), out->type = (u32)WHICH)
u32 zesRasGetState(void *part, u32 clear, RasState *out) {
    for (int i = 0; !clear && i < 7; i++) out->category[i] = WHICH ? 0 : 1;
    return out->stype == 0x22 ? told("zesRasGetState") : 0x78000004;
}
u32 zesDeviceProcessesGetState(void *device, u32 *count, Process *out) {
    for (u32 i = 0; out && i < 2 && i < *count; i++) out[i].pid = 4711 + i, out[i].memory = (u64)(i + 1) << 30;
    return (void)device, *count = 2, out && out->stype != 0x16 ? 0x78000004 : told("zesDeviceProcessesGetState");
}
