/* A reader of the sensors example, as a foreign C program without shmkit. */
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

    HANDLE section = OpenFileMappingA(FILE_MAP_READ, FALSE, argv[1]);
    if (section == NULL)
        return failed("OpenFileMapping");
    HANDLE mutex = OpenMutexA(SYNCHRONIZE, FALSE, mutex_name);
    if (mutex == NULL)
        return failed("OpenMutex");
    HANDLE event = OpenEventA(SYNCHRONIZE, FALSE, event_name);
    if (event == NULL)
        return failed("OpenEvent");
    const struct sensors *shared = MapViewOfFile(section, FILE_MAP_READ, 0, 0, sizeof *shared);
    if (shared == NULL)
        return failed("MapViewOfFile");

    uint32_t updates = strtoul(argv[2], NULL, 10);
    for (uint32_t n = 0; n < updates; n++) {
        if (WaitForSingleObject(event, 5000) != WAIT_OBJECT_0) {
            fprintf(stderr, "the publisher is silent\n");
            return 1;
        }
        DWORD taken = WaitForSingleObject(mutex, INFINITE);
        if (taken == WAIT_ABANDONED)
            fprintf(stderr, "somebody died with the mutex\n");
        struct sensors copy = *shared;
        ReleaseMutex(mutex);
        if (copy.magic != SENSORS_MAGIC || copy.version != SENSORS_VERSION) {
            fprintf(stderr, "this is not the protocol that we know\n");
            return 1;
        }
        printf("%lu [", (unsigned long)copy.update);
        for (uint32_t i = 0; i < SENSORS_COUNT && i < copy.count; i++)
            printf("%s%.3f", i ? ", " : "", copy.values[i]);
        printf("]\n");
    }
    return 0;
}
