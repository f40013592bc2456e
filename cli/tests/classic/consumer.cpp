// The classic message consumer: opens the section by name, maps it and shows the
// text. It prints instead of opening a message box, so that a test can read it.
// It is compiled as Unicode and as ANSI.
#include <windows.h>
#include <tchar.h>
#include <stdio.h>

static const DWORD kSize = 256;
static const TCHAR kName[] = TEXT("Local\\MyFileMappingObject");

static void show(LPCTSTR text)
{
#ifdef UNICODE
    char narrow[4 * 256];
    WideCharToMultiByte(CP_UTF8, 0, text, -1, narrow, sizeof narrow, NULL, NULL);
    puts(narrow);
#else
    puts(text);
#endif
}

int main()
{
    HANDLE mapping = OpenFileMapping(FILE_MAP_ALL_ACCESS, FALSE, kName);
    if (mapping == NULL) {
        fprintf(stderr, "OpenFileMapping: %lu\n", GetLastError());
        return 1;
    }
    LPTSTR view = (LPTSTR)MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, kSize);
    if (view == NULL) {
        fprintf(stderr, "MapViewOfFile: %lu\n", GetLastError());
        CloseHandle(mapping);
        return 1;
    }
    show(view);
    UnmapViewOfFile(view);
    CloseHandle(mapping);
    return 0;
}
