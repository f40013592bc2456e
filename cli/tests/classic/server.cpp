// The classic message server, as many programs have it: it keeps a section of 256
// bytes with a text until a key is pressed. It is compiled as Unicode and as ANSI.
#include <windows.h>
#include <tchar.h>
#include <conio.h>
#include <io.h>
#include <stdio.h>

static const DWORD kSize = 256;
static const TCHAR kName[] = TEXT("Local\\MyFileMappingObject");
static const TCHAR kMessage[] = TEXT("Message from first process.");

int main()
{
    HANDLE mapping = CreateFileMapping(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, kSize, kName);
    if (mapping == NULL) {
        fprintf(stderr, "CreateFileMapping: %lu\n", GetLastError());
        return 1;
    }
    LPTSTR view = (LPTSTR)MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, kSize);
    if (view == NULL) {
        fprintf(stderr, "MapViewOfFile: %lu\n", GetLastError());
        CloseHandle(mapping);
        return 1;
    }
    CopyMemory(view, kMessage, sizeof kMessage);
    puts("ready");
    fflush(stdout);
    // A test has no console and sends a byte instead.
    if (_isatty(0))
        _getch();
    else
        getchar();
    UnmapViewOfFile(view);
    CloseHandle(mapping);
    return 0;
}
