/* The publisher of the sensors example, as a foreign C program without shmkit. */
#include "sensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

static int failed(const char *call)
{
    fprintf(stderr, "%s: %lu\n", call, GetLastError());
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: NAME UPDATES\n");
        return 2;
    }
    char mutex_name[MAX_PATH], event_name[MAX_PATH];
    snprintf(mutex_name, sizeof mutex_name, "%s.mutex", argv[1]);
    snprintf(event_name, sizeof event_name, "%s.event", argv[1]);

    HANDLE mutex = CreateMutexA(NULL, FALSE, mutex_name);
    if (mutex == NULL)
        return failed("CreateMutex");
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, event_name);
    if (event == NULL)
        return failed("CreateEvent");
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0,
                                        sizeof(struct sensors), argv[1]);
    if (section == NULL)
        return failed("CreateFileMapping");
    struct sensors *shared = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, sizeof *shared);
    if (shared == NULL)
        return failed("MapViewOfFile");
    printf("publishing %s\n", argv[1]);
    fflush(stdout);

    uint32_t updates = strtoul(argv[2], NULL, 10);
    for (uint32_t update = 1; update <= updates; update++) {
        if (WaitForSingleObject(mutex, INFINITE) == WAIT_FAILED)
            return failed("WaitForSingleObject");
        shared->magic = SENSORS_MAGIC;
        shared->version = SENSORS_VERSION;
        shared->count = SENSORS_COUNT;
        shared->update = update;
        for (uint32_t n = 0; n < SENSORS_COUNT; n++)
            shared->values[n] = update + n / 8.0;
        ReleaseMutex(mutex);
        SetEvent(event);
        Sleep(1000 / SENSORS_PER_SECOND);
    }
    return 0;
}
