#include "textflag.h"

// func Me() uintptr
TEXT ·Me(SB), NOSPLIT, $0-8
	MOVQ (TLS), AX
	MOVQ AX, ret+0(FP)
	RET
