; ModuleID = 'input'
source_filename = "program.cc"
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%"class.std::__1::basic_string" = type { %"class.std::__1::__compressed_pair" }
%"class.std::__1::__compressed_pair" = type { %"struct.std::__1::__compressed_pair_elem" }
%"struct.std::__1::__compressed_pair_elem" = type { %"struct.std::__1::basic_string<char>::__rep" }
%"struct.std::__1::basic_string<char>::__rep" = type { %union.anon }
%union.anon = type { %"struct.std::__1::basic_string<char>::__long" }
%"struct.std::__1::basic_string<char>::__long" = type { %struct.anon, i64, ptr }
%struct.anon = type { i64 }
%"struct.std::__1::basic_string<char>::__short" = type { %struct.anon.0, [0 x i8], [23 x i8] }
%struct.anon.0 = type { i8 }

@.str = private unnamed_addr constant [11 x i8] c"aeiouAEIOU\00", align 1
@.str.3 = private unnamed_addr constant [11 x i8] c"program.cc\00", align 1
@__PRETTY_FUNCTION__.main = private unnamed_addr constant [11 x i8] c"int main()\00", align 1
@.str.6 = private unnamed_addr constant [4 x i8] c"key\00", align 1
@.str.7 = private unnamed_addr constant [25 x i8] c"vowels_count(\22key\22) == 2\00", align 1

; Function Attrs: minsize optsize uwtable
define internal noundef i32 @_Z12vowels_countNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEE(ptr noundef %arg) #0 personality ptr @__gxx_personality_v0 {
bb:
  %i1 = alloca %"class.std::__1::basic_string", align 8
  call void @llvm.lifetime.start.p0(i64 24, ptr %i1) #8
  call void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEC2B8ue170006ILi0EEEPKc(ptr noundef nonnull align 8 dereferenceable(24) %i1, ptr noundef @.str) #9
  br label %bb10

bb10:                                             ; preds = %bb16, %bb
  %i3.0 = phi i32 [ 0, %bb ], [ %i44, %bb16 ]
  %i2.0 = phi i32 [ 0, %bb ], [ %i2.1, %bb16 ]
  %i12 = sext i32 %i3.0 to i64
  %i6.i.i.i = load i8, ptr %arg, align 8
  %i7.i3.i.i = lshr i8 %i6.i.i.i, 1
  %i8.i4.i.i = zext i8 %i7.i3.i.i to i64
  %i8.i.i = select i1 false, i64 0, i64 %i8.i4.i.i
  %i14 = icmp ult i64 %i12, %i8.i.i
  br i1 %i14, label %bb16, label %bb45

bb16:                                             ; preds = %bb10
  %i8.i.i.i3 = icmp ne i8 0, 0
  %i5.i.i.i4 = getelementptr inbounds %"struct.std::__1::basic_string<char>::__long", ptr %i1, i32 0, i32 2
  %i6.i1.i.i5 = load ptr, ptr %i5.i.i.i4, align 8
  %i5.i2.i.i = getelementptr inbounds %"struct.std::__1::basic_string<char>::__short", ptr %i1, i32 0, i32 2
  %i8.i.i6 = select i1 %i8.i.i.i3, ptr %i6.i1.i.i5, ptr %i5.i2.i.i
  %i19 = call ptr @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE3endB8ue170006Ev(ptr noundef nonnull align 8 dereferenceable(24) %i1) #10
  %i8.i.i.i9 = icmp ne i8 0, 0
  %i5.i.i.i10 = getelementptr inbounds %"struct.std::__1::basic_string<char>::__long", ptr %arg, i32 0, i32 2
  %i6.i1.i.i11 = load ptr, ptr %i5.i.i.i10, align 8
  %i5.i2.i.i12 = getelementptr inbounds %"struct.std::__1::basic_string<char>::__short", ptr %arg, i32 0, i32 2
  %i8.i.i13 = select i1 %i8.i.i.i9, ptr %i6.i1.i.i11, ptr %i5.i2.i.i12
  %i6.i = getelementptr inbounds i8, ptr %i8.i.i13, i64 %i12
  %i12.i.i = load i8, ptr %i6.i, align 1, !tbaa !5
  %i15.i.i = ptrtoint ptr %i19 to i64
  %i16.i.i = ptrtoint ptr %i8.i.i6 to i64
  %i17.i.i = sub i64 %i15.i.i, %i16.i.i
  %i8.i.i.i14 = sext i8 %i12.i.i to i32
  %i10.i.i.i = call ptr @memchr(ptr noundef %i8.i.i6, i32 noundef %i8.i.i.i14, i64 noundef %i17.i.i) #10
  %i20.i.i = icmp ne ptr %i10.i.i.i, null
  %spec.select.i.i = select i1 %i20.i.i, ptr %i10.i.i.i, ptr %i19
  %i7.i.i.i15 = ptrtoint ptr %spec.select.i.i to i64
  %i9.i.i.i = sub i64 %i7.i.i.i15, %i16.i.i
  %i7.i.i.i.i.i = getelementptr inbounds i8, ptr %i8.i.i6, i64 %i9.i.i.i
  %i31 = call ptr @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE3endB8ue170006Ev(ptr noundef nonnull align 8 dereferenceable(24) %i1) #10
  %i7.i.i = icmp eq ptr %i7.i.i.i.i.i, %i31
  %i6.i16 = xor i1 %i7.i.i, true
  %i36 = add nsw i32 %i2.0, 1
  %i2.1 = select i1 %i6.i16, i32 %i36, i32 %i2.0
  %i44 = add nsw i32 %i3.0, 1
  br label %bb10, !llvm.loop !8

bb45:                                             ; preds = %bb10
  %i47 = sub i64 %i8.i.i, 1
  %i5.i2.i.i30 = getelementptr inbounds %"struct.std::__1::basic_string<char>::__short", ptr %arg, i32 0, i32 2
  %i8.i.i31 = select i1 false, ptr null, ptr %i5.i2.i.i30
  %i6.i32 = getelementptr inbounds i8, ptr %i8.i.i31, i64 %i47
  %i49 = load i8, ptr %i6.i32, align 1, !tbaa !5
  %i50 = sext i8 %i49 to i32
  switch i32 %i50, label %bb62 [
    i32 121, label %bb59
    i32 89, label %bb59
  ]

bb59:                                             ; preds = %bb45, %bb45
  %i61 = add nsw i32 %i2.0, 1
  br label %bb62

bb62:                                             ; preds = %bb59, %bb45
  %i2.2 = phi i32 [ %i61, %bb59 ], [ %i2.0, %bb45 ]
  call void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEED2Ev(ptr noundef nonnull align 8 dereferenceable(24) %i1) #10
  call void @llvm.lifetime.end.p0(i64 24, ptr %i1) #8
  ret i32 %i2.2
}

; Function Attrs: nocallback nofree nosync nounwind willreturn memory(argmem: readwrite)
declare void @llvm.lifetime.start.p0(i64 immarg, ptr nocapture) #1

; Function Attrs: minsize optsize uwtable
define internal void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEC2B8ue170006ILi0EEEPKc(ptr noundef nonnull align 8 dereferenceable(24) %arg, ptr noundef %arg1) unnamed_addr #0 align 2 personality ptr @__gxx_personality_v0 {
bb:
  %i2.i.i = call i64 @strlen(ptr noundef %arg1) #10
  br label %bb13.i

bb13.i:                                           ; preds = %bb
  br label %bb16.i

bb16.i:                                           ; preds = %bb13.i
  %i5.i.i = trunc i64 %i2.i.i to i8
  %i10.i.i = load i8, ptr %arg, align 8
  %i11.i.i = and i8 %i5.i.i, 127
  %i12.i.i = shl i8 %i11.i.i, 1
  store i8 %i12.i.i, ptr %arg, align 8
  %i5.i1.i = getelementptr inbounds %"struct.std::__1::basic_string<char>::__short", ptr %arg, i32 0, i32 2
  br label %bb38.i

bb38.i:                                           ; preds = %bb16.i
  %i5.0.i = phi ptr [ %i5.i1.i, %bb16.i ]
  %i10.i.i.i = getelementptr inbounds i8, ptr %arg1, i64 %i2.i.i
  %i10.i.i.i.i.i.i.i.i.i = ptrtoint ptr %i10.i.i.i to i64
  %i11.i.i.i.i.i.i.i.i.i = ptrtoint ptr %arg1 to i64
  %i12.i.i.i.i.i.i.i.i.i = sub i64 %i10.i.i.i.i.i.i.i.i.i, %i11.i.i.i.i.i.i.i.i.i
  %i8.i.i.i.i.i.i.i.i.i.i = icmp ugt i64 %i12.i.i.i.i.i.i.i.i.i, 0
  br label %bb9.i.i.i.i.i.i.i.i.i.i

bb9.i.i.i.i.i.i.i.i.i.i:                          ; preds = %bb38.i
  call void @llvm.memmove.p0.p0.i64(ptr align 1 %i5.0.i, ptr align 1 %arg1, i64 %i12.i.i.i.i.i.i.i.i.i, i1 false)
  br label %_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6__initEPKcm.exit

_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6__initEPKcm.exit: ; preds = %bb9.i.i.i.i.i.i.i.i.i.i
  %i46.i = getelementptr inbounds i8, ptr %i5.0.i, i64 %i2.i.i
  store i8 0, ptr %i46.i, align 1, !tbaa !5
  ret void
}

; Function Attrs: minsize nounwind optsize uwtable
define internal ptr @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE3endB8ue170006Ev(ptr noundef nonnull align 8 dereferenceable(24) %arg) #2 align 2 {
bb:
  %i6.i.i = load i8, ptr %arg, align 8
  %i5.i2.i = getelementptr inbounds %"struct.std::__1::basic_string<char>::__short", ptr %arg, i32 0, i32 2
  %i8.i = select i1 false, ptr null, ptr %i5.i2.i
  %i7.i3.i = lshr i8 %i6.i.i, 1
  %i8.i4.i = zext i8 %i7.i3.i to i64
  %i8.i6 = select i1 false, i64 0, i64 %i8.i4.i
  %i5 = getelementptr inbounds i8, ptr %i8.i, i64 %i8.i6
  ret ptr %i5
}

declare i32 @__gxx_personality_v0(...)

; Function Attrs: nocallback nofree nosync nounwind willreturn memory(argmem: readwrite)
declare void @llvm.lifetime.end.p0(i64 immarg, ptr nocapture) #1

; Function Attrs: inlinehint minsize nounwind optsize uwtable
define internal void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEED2Ev(ptr noundef nonnull align 8 dereferenceable(24) %arg) unnamed_addr #3 align 2 {
entry:
  ret void
}

; Function Attrs: minsize mustprogress norecurse optsize uwtable
define dso_local noundef i32 @main() #4 personality ptr @__gxx_personality_v0 {
bb:
  %i5 = alloca %"class.std::__1::basic_string", align 8
  %i6 = alloca %"class.std::__1::basic_string", align 8
  br label %bb11

bb11:                                             ; preds = %bb
  br label %bb20

bb20:                                             ; preds = %bb11
  br label %bb22

bb22:                                             ; preds = %bb20
  br label %bb31

bb31:                                             ; preds = %bb22
  call void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEED2Ev(ptr noundef nonnull align 8 dereferenceable(24) null) #10
  call void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEC2B8ue170006ILi0EEEPKc(ptr noundef nonnull align 8 dereferenceable(24) %i5, ptr noundef @.str.6) #9
  %i32 = call noundef i32 @_Z12vowels_countNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEE(ptr noundef %i5) #9
  br label %bb33

bb33:                                             ; preds = %bb31
  %i34 = icmp eq i32 %i32, 2
  br i1 %i34, label %bb42, label %bb36

bb36:                                             ; preds = %bb33
  call void @__assert_fail(ptr noundef @.str.7, ptr noundef @.str.3, i32 noundef 21, ptr noundef @__PRETTY_FUNCTION__.main) #11
  unreachable

bb42:                                             ; preds = %bb33
  call void @_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEED2Ev(ptr noundef nonnull align 8 dereferenceable(24) %i5) #10
  br label %bb44

bb44:                                             ; preds = %bb42
  br label %bb53

bb53:                                             ; preds = %bb44
  br label %bb55

bb55:                                             ; preds = %bb53
  br label %bb64

bb64:                                             ; preds = %bb55
  br label %bb66

bb66:                                             ; preds = %bb64
  br label %bb75

bb75:                                             ; preds = %bb66
  br label %bb77

bb77:                                             ; preds = %bb75
  br label %bb86

bb86:                                             ; preds = %bb77
  ret i32 0
}

; Function Attrs: minsize noreturn nounwind optsize
declare void @__assert_fail(ptr noundef, ptr noundef, i32 noundef, ptr noundef) #5

; Function Attrs: nocallback nofree nounwind willreturn memory(argmem: readwrite)
declare void @llvm.memmove.p0.p0.i64(ptr nocapture writeonly, ptr nocapture readonly, i64, i1 immarg) #6

; Function Attrs: minsize nounwind optsize
declare i64 @strlen(ptr noundef) #7

; Function Attrs: minsize nounwind optsize
declare ptr @memchr(ptr noundef, i32 noundef, i64 noundef) #7

attributes #0 = { minsize optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #1 = { nocallback nofree nosync nounwind willreturn memory(argmem: readwrite) }
attributes #2 = { minsize nounwind optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #3 = { inlinehint minsize nounwind optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #4 = { minsize mustprogress norecurse optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #5 = { minsize noreturn nounwind optsize "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #6 = { nocallback nofree nounwind willreturn memory(argmem: readwrite) }
attributes #7 = { minsize nounwind optsize "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #8 = { nounwind }
attributes #9 = { minsize optsize }
attributes #10 = { minsize nounwind optsize }
attributes #11 = { minsize noreturn nounwind optsize }

!llvm.module.flags = !{!0, !1, !2, !3}
!llvm.ident = !{!4}

!0 = !{i32 1, !"wchar_size", i32 4}
!1 = !{i32 8, !"PIC Level", i32 2}
!2 = !{i32 7, !"PIE Level", i32 2}
!3 = !{i32 7, !"uwtable", i32 2}
!4 = !{!"Karellen, Inc. (https://karellen.co) clang version 17.0.6 (https://github.com/llvm/llvm-project 6009708b4367171ccdbf4b5905cb6a803753fe18)"}
!5 = !{!6, !6, i64 0}
!6 = !{!"omnipotent char", !7, i64 0}
!7 = !{!"Simple C++ TBAA"}
!8 = distinct !{!8, !9}
!9 = !{!"llvm.loop.mustprogress"}
