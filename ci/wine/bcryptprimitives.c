/* Rust's standard library imports ProcessPrng from bcryptprimitives.dll, which
   Wine 8 does not have. This stand-in for tests forwards to the generator that
   Wine does have. It is never shipped. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    return SystemFunction036(data, (ULONG)size) ? TRUE : FALSE;
}
