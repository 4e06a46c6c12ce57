; A uop as the compiler writes it, for the tests of extraction: hot and cold code, holes, constants, a helper. Made with
;   llc-19 -O2 -relocation-model=static -filetype=obj -o uop.o uop.ll
target triple = "x86_64-unknown-linux-gnu"
@_JIT_OPARG.u16.shl3 = external hidden global i8, !absolute_symbol !0
declare preserve_nonecc void @_JIT_CONTINUE(ptr, ptr, ptr, i64, i64, i64)
declare preserve_nonecc void @_JIT_JUMP_TARGET(ptr, ptr, ptr, i64, i64, i64)
declare i64 @helper(ptr) nounwind
define preserve_nonecc void @UOP.hot(ptr %f, ptr %s, ptr %t, i64 %a, i64 %b, i64 %c) optsize nounwind noredzone section ".text.UOP" {
  %local = getelementptr i8, ptr %f, i64 ptrtoint (ptr @_JIT_OPARG.u16.shl3 to i64)
  %x = load double, ptr %local
  %y = fneg double %x
  %z = fadd double %y, 2.5
  store double %z, ptr %local
  %test = load i64, ptr %s
  %zero = icmp eq i64 %test, 0
  br i1 %zero, label %slow, label %go
go:
  musttail call preserve_nonecc void @_JIT_CONTINUE(ptr %f, ptr %s, ptr %t, i64 poison, i64 poison, i64 poison)
  ret void
slow:
  musttail call preserve_nonecc void @UOP.cold0(ptr %f, ptr %s, ptr %t, i64 poison, i64 poison, i64 poison)
  ret void
}
define preserve_nonecc void @UOP.cold0(ptr %f, ptr %s, ptr %t, i64 %a, i64 %b, i64 %c) optsize nounwind noredzone noinline cold section ".text.UOP.cold0" {
  %r = call i64 @helper(ptr %t)
  %zero = icmp eq i64 %r, 0
  br i1 %zero, label %deopt, label %go
go:
  store double 0.1, ptr %s
  musttail call preserve_nonecc void @_JIT_CONTINUE(ptr %f, ptr %s, ptr %t, i64 poison, i64 poison, i64 poison)
  ret void
deopt:
  musttail call preserve_nonecc void @_JIT_JUMP_TARGET(ptr %f, ptr %s, ptr %t, i64 poison, i64 poison, i64 poison)
  ret void
}
!llvm.module.flags = !{!1}
!0 = !{i64 0, i64 524288}
!1 = !{i32 1, !"override-stack-alignment", i32 8}
