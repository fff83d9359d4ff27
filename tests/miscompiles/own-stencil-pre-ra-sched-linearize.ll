; ModuleID = 'input'
source_filename = "program.c"
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

@plane = internal global [14 x [20 x i32]] zeroinitializer, align 16
@.str.4 = private unnamed_addr constant [53 x i8] c"rank_of(v, 5, m, 0) <= 2 && rank_of(v, 5, m, 1) >= 3\00", align 1
@.str.6 = private unnamed_addr constant [13 x i8] c"digest %08x\0A\00", align 1
@digest = internal global i32 -2128831035, align 4
@seed = internal global i32 -1831433054, align 4
@.str.7 = private unnamed_addr constant [13 x i8] c"line %d: %s\0A\00", align 1

; Function Attrs: minsize nounwind optsize uwtable
define dso_local i32 @main() #0 {
bb:
  %i1 = alloca [14 x [20 x i32]], align 16
  %i2 = alloca [64 x i32], align 16
  %i3 = alloca [64 x i32], align 16
  %i19 = alloca [5 x i32], align 16
  call void @llvm.lifetime.start.p0(i64 1120, ptr %i1) #8
  call void @llvm.lifetime.start.p0(i64 256, ptr %i2) #8
  call void @llvm.lifetime.start.p0(i64 256, ptr %i3) #8
  br label %bb22

bb22:                                             ; preds = %bb311, %bb
  %i4.0 = phi i32 [ 0, %bb ], [ %i315, %bb311 ]
  %i24 = icmp slt i32 %i4.0, 25
  br i1 %i24, label %bb27, label %bb316

bb27:                                             ; preds = %bb31, %bb22
  %i6.0 = phi i32 [ %i45, %bb31 ], [ 0, %bb22 ]
  %i29 = icmp slt i32 %i6.0, 280
  br i1 %i29, label %bb31, label %bb46

bb31:                                             ; preds = %bb27
  %i32 = call i32 @rnd() #9
  %i33 = urem i32 %i32, 2001
  %i34 = sub nsw i32 %i33, 1000
  %i36 = sdiv i32 %i6.0, 20
  %i37 = sext i32 %i36 to i64
  %i38 = getelementptr inbounds [14 x [20 x i32]], ptr @plane, i64 0, i64 %i37
  %i40 = srem i32 %i6.0, 20
  %i41 = sext i32 %i40 to i64
  %i42 = getelementptr inbounds [20 x i32], ptr %i38, i64 0, i64 %i41
  store i32 %i34, ptr %i42, align 4, !tbaa !5
  %i45 = add nsw i32 %i6.0, 1
  br label %bb27, !llvm.loop !9

bb46:                                             ; preds = %bb27
  %i48 = mul nsw i32 %i4.0, 2
  %i49 = add nsw i32 3, %i48
  br label %bb50

bb50:                                             ; preds = %bb46
  %i8.0 = phi i32 [ 0, %bb46 ]
  %i52 = icmp slt i32 %i8.0, 64
  br label %bb63

bb63:                                             ; preds = %bb50
  call void @smooth_copy(ptr noundef %i2, ptr noundef %i3, i32 noundef %i49) #9
  br label %bb79

bb79:                                             ; preds = %bb63
  br label %bb87

bb87:                                             ; preds = %bb79
  br label %bb89

bb89:                                             ; preds = %bb87
  br label %bb148

bb148:                                            ; preds = %bb89
  br label %bb165

bb165:                                            ; preds = %bb148
  br label %bb194

bb194:                                            ; preds = %bb165
  %i199 = call i32 @box(i32 noundef 0, i32 noundef 0, i32 noundef 0, i32 noundef 0) #9
  %i201 = icmp eq i32 %i199, 0
  br label %bb206

bb206:                                            ; preds = %bb289, %bb194
  %i17.0 = phi i32 [ %i291, %bb289 ], [ 1, %bb194 ]
  %i208 = icmp slt i32 %i17.0, 13
  br i1 %i208, label %bb211, label %bb292

bb211:                                            ; preds = %bb283, %bb206
  %i18.0 = phi i32 [ %i256, %bb283 ], [ 1, %bb206 ]
  %i213 = icmp slt i32 %i18.0, 19
  br i1 %i213, label %bb215, label %bb289

bb215:                                            ; preds = %bb211
  call void @llvm.lifetime.start.p0(i64 20, ptr %i19) #8
  %i218 = sext i32 %i17.0 to i64
  %i219 = getelementptr inbounds [14 x [20 x i32]], ptr @plane, i64 0, i64 %i218
  %i221 = sext i32 %i18.0 to i64
  %i222 = getelementptr inbounds [20 x i32], ptr %i219, i64 0, i64 %i221
  %i223 = load i32, ptr %i222, align 4, !tbaa !5
  store i32 %i223, ptr %i19, align 4, !tbaa !5
  %i224 = getelementptr inbounds i32, ptr %i19, i64 1
  %i226 = sub nsw i32 %i17.0, 1
  %i227 = sext i32 %i226 to i64
  %i228 = getelementptr inbounds [14 x [20 x i32]], ptr @plane, i64 0, i64 %i227
  %i231 = getelementptr inbounds [20 x i32], ptr %i228, i64 0, i64 %i221
  %i232 = load i32, ptr %i231, align 4, !tbaa !5
  store i32 %i232, ptr %i224, align 4, !tbaa !5
  %i233 = getelementptr inbounds i32, ptr %i224, i64 1
  %i235 = add nsw i32 %i17.0, 1
  %i236 = sext i32 %i235 to i64
  %i237 = getelementptr inbounds [14 x [20 x i32]], ptr @plane, i64 0, i64 %i236
  %i240 = getelementptr inbounds [20 x i32], ptr %i237, i64 0, i64 %i221
  %i241 = load i32, ptr %i240, align 4, !tbaa !5
  store i32 %i241, ptr %i233, align 4, !tbaa !5
  %i242 = getelementptr inbounds i32, ptr %i233, i64 1
  %i247 = sub nsw i32 %i18.0, 1
  %i248 = sext i32 %i247 to i64
  %i249 = getelementptr inbounds [20 x i32], ptr %i219, i64 0, i64 %i248
  %i250 = load i32, ptr %i249, align 4, !tbaa !5
  store i32 %i250, ptr %i242, align 4, !tbaa !5
  %i251 = getelementptr inbounds i32, ptr %i242, i64 1
  %i256 = add nsw i32 %i18.0, 1
  %i257 = sext i32 %i256 to i64
  %i258 = getelementptr inbounds [20 x i32], ptr %i219, i64 0, i64 %i257
  %i259 = load i32, ptr %i258, align 4, !tbaa !5
  store i32 %i259, ptr %i251, align 4, !tbaa !5
  %i261 = load i32, ptr %i19, align 16, !tbaa !5
  %i262 = getelementptr inbounds [5 x i32], ptr %i19, i64 0, i64 1
  %i263 = load i32, ptr %i262, align 4, !tbaa !5
  %i264 = getelementptr inbounds [5 x i32], ptr %i19, i64 0, i64 2
  %i265 = load i32, ptr %i264, align 8, !tbaa !5
  %i266 = getelementptr inbounds [5 x i32], ptr %i19, i64 0, i64 3
  %i267 = load i32, ptr %i266, align 4, !tbaa !5
  %i268 = getelementptr inbounds [5 x i32], ptr %i19, i64 0, i64 4
  %i269 = load i32, ptr %i268, align 16, !tbaa !5
  %i270 = call i32 @median5(i32 noundef %i261, i32 noundef %i263, i32 noundef %i265, i32 noundef %i267, i32 noundef %i269) #9
  %i273 = call i32 @rank_of(ptr noundef %i19, i32 noundef 5, i32 noundef %i270, i32 noundef 0) #9
  %i274 = icmp sle i32 %i273, 2
  br label %bb275

bb275:                                            ; preds = %bb215
  %i278 = call i32 @rank_of(ptr noundef %i19, i32 noundef 5, i32 noundef %i270, i32 noundef 1) #9
  %i279 = icmp sge i32 %i278, 3
  br i1 %i279, label %bb283, label %bb281

bb281:                                            ; preds = %bb275
  call void @fail(i32 noundef 147, ptr noundef @.str.4) #10
  unreachable

bb283:                                            ; preds = %bb275
  call void @mix(i32 noundef %i270) #9
  call void @llvm.lifetime.end.p0(i64 20, ptr %i19) #8
  br label %bb211, !llvm.loop !11

bb289:                                            ; preds = %bb211
  %i291 = add nsw i32 %i17.0, 1
  br label %bb206, !llvm.loop !12

bb292:                                            ; preds = %bb206
  call void @llvm.memcpy.p0.p0.i64(ptr align 16 %i1, ptr align 16 @plane, i64 1120, i1 false)
  br label %bb294

bb294:                                            ; preds = %bb292
  %i21.0 = phi i32 [ 0, %bb292 ]
  %i296 = icmp slt i32 %i21.0, 5
  br label %bb304

bb304:                                            ; preds = %bb294
  %i306 = call i32 @memcmp(ptr noundef @plane, ptr noundef %i1, i64 noundef 1120) #11
  %i307 = icmp ne i32 %i306, 0
  br label %bb311

bb311:                                            ; preds = %bb304
  %i312 = call i32 @total(ptr noundef @plane) #9
  call void @mix(i32 noundef %i312) #9
  %i315 = add nsw i32 %i4.0, 1
  br label %bb22, !llvm.loop !13

bb316:                                            ; preds = %bb22
  %i317 = load i32, ptr @digest, align 4, !tbaa !5
  %i318 = call i32 (ptr, ...) @printf(ptr noundef @.str.6, i32 noundef %i317) #9
  call void @llvm.lifetime.end.p0(i64 256, ptr %i3) #8
  call void @llvm.lifetime.end.p0(i64 256, ptr %i2) #8
  call void @llvm.lifetime.end.p0(i64 1120, ptr %i1) #8
  ret i32 0
}

; Function Attrs: nocallback nofree nosync nounwind willreturn memory(argmem: readwrite)
declare void @llvm.lifetime.start.p0(i64 immarg, ptr nocapture) #1

; Function Attrs: minsize noinline nounwind optsize uwtable
define internal i32 @rnd() #2 {
bb:
  %i1 = load volatile i32, ptr @seed, align 4, !tbaa !5
  %i3 = shl i32 %i1, 13
  %i5 = xor i32 %i1, %i3
  %i7 = lshr i32 %i5, 17
  %i9 = xor i32 %i5, %i7
  %i11 = shl i32 %i9, 5
  %i13 = xor i32 %i9, %i11
  store volatile i32 %i13, ptr @seed, align 4, !tbaa !5
  ret i32 %i13
}

; Function Attrs: nocallback nofree nosync nounwind willreturn memory(argmem: readwrite)
declare void @llvm.lifetime.end.p0(i64 immarg, ptr nocapture) #1

; Function Attrs: minsize nounwind optsize uwtable
define internal void @smooth_copy(ptr noalias noundef %arg, ptr noalias noundef %arg1, i32 noundef %arg2) #0 {
entry:
  ret void
}

; Function Attrs: minsize nounwind optsize willreturn memory(read)
declare i32 @memcmp(ptr noundef, ptr noundef, i64 noundef) #3

; Function Attrs: minsize noreturn nounwind optsize uwtable
define internal void @fail(i32 noundef %arg, ptr noundef %arg1) #4 {
bb:
  %i5 = call i32 (ptr, ...) @printf(ptr noundef @.str.7, i32 noundef %arg, ptr noundef %arg1) #9
  call void @exit(i32 noundef 1) #12
  unreachable
}

; Function Attrs: minsize nounwind optsize uwtable
define internal void @mix(i32 noundef %arg) #0 {
entry:
  ret void
}

; Function Attrs: minsize nounwind optsize uwtable
define internal i32 @total(ptr noundef %arg) #0 {
entry:
  ret i32 0
}

; Function Attrs: minsize nounwind optsize uwtable
define internal i32 @box(i32 noundef %arg, i32 noundef %arg1, i32 noundef %arg2, i32 noundef %arg3) #0 {
entry:
  ret i32 0
}

; Function Attrs: minsize noinline nounwind optsize uwtable
define internal i32 @median5(i32 noundef %arg, i32 noundef %arg1, i32 noundef %arg2, i32 noundef %arg3, i32 noundef %arg4) #2 {
bb:
  %i = alloca i32, align 4
  %i5 = alloca i32, align 4
  %i6 = alloca i32, align 4
  %i7 = alloca i32, align 4
  %i8 = alloca i32, align 4
  store i32 %arg, ptr %i, align 4, !tbaa !5
  store i32 %arg1, ptr %i5, align 4, !tbaa !5
  store i32 %arg2, ptr %i6, align 4, !tbaa !5
  store i32 %arg3, ptr %i7, align 4, !tbaa !5
  store i32 %arg4, ptr %i8, align 4, !tbaa !5
  call void @order(ptr noundef %i, ptr noundef %i5) #9
  call void @order(ptr noundef %i6, ptr noundef %i7) #9
  call void @order(ptr noundef %i, ptr noundef %i6) #9
  call void @order(ptr noundef %i5, ptr noundef %i7) #9
  call void @order(ptr noundef %i5, ptr noundef %i6) #9
  call void @order(ptr noundef %i5, ptr noundef %i8) #9
  call void @order(ptr noundef %i6, ptr noundef %i8) #9
  call void @order(ptr noundef %i5, ptr noundef %i6) #9
  %i9 = load i32, ptr %i6, align 4, !tbaa !5
  %i10 = load i32, ptr %i, align 4, !tbaa !5
  %i11 = icmp sgt i32 %i9, %i10
  %i9.i10 = select i1 %i11, i32 %i9, i32 %i10
  ret i32 %i9.i10
}

; Function Attrs: minsize nounwind optsize uwtable
define internal i32 @rank_of(ptr noundef %arg, i32 noundef %arg1, i32 noundef %arg2, i32 noundef %arg3) #0 {
bb:
  br label %bb9

bb9:                                              ; preds = %bb35, %bb
  %i7.0 = phi i32 [ 0, %bb ], [ %i38, %bb35 ]
  %i8.0 = phi i32 [ 0, %bb ], [ %i41, %bb35 ]
  %i12 = icmp slt i32 %i8.0, %arg1
  br i1 %i12, label %bb14, label %bb42

bb14:                                             ; preds = %bb9
  %i16 = icmp ne i32 %arg3, 0
  br label %bb17

bb17:                                             ; preds = %bb14
  %i20 = sext i32 %i8.0 to i64
  %i21 = getelementptr inbounds i32, ptr %arg, i64 %i20
  %i22 = load i32, ptr %i21, align 4, !tbaa !5
  %i24 = icmp sle i32 %i22, %arg2
  %i25 = zext i1 %i24 to i32
  br label %bb35

bb35:                                             ; preds = %bb17
  %i36 = phi i32 [ %i25, %bb17 ]
  %i38 = add nsw i32 %i7.0, %i36
  %i41 = add nsw i32 %i8.0, 1
  br label %bb9, !llvm.loop !14

bb42:                                             ; preds = %bb9
  ret i32 %i7.0
}

; Function Attrs: nocallback nofree nounwind willreturn memory(argmem: readwrite)
declare void @llvm.memcpy.p0.p0.i64(ptr noalias nocapture writeonly, ptr noalias nocapture readonly, i64, i1 immarg) #5

; Function Attrs: minsize optsize
declare i32 @printf(ptr noundef, ...) #6

; Function Attrs: minsize noreturn nounwind optsize
declare void @exit(i32 noundef) #7

; Function Attrs: minsize nounwind optsize uwtable
define internal void @order(ptr noundef %arg, ptr noundef %arg1) #0 {
bb:
  %i6 = load i32, ptr %arg, align 4, !tbaa !5
  %i8 = load i32, ptr %arg1, align 4, !tbaa !5
  %i9 = icmp slt i32 %i6, %i8
  %i6.i8 = select i1 %i9, i32 %i6, i32 %i8
  %i19 = load i32, ptr %arg, align 4, !tbaa !5
  %i21 = load i32, ptr %arg1, align 4, !tbaa !5
  %i22 = icmp slt i32 %i19, %i21
  %i30 = select i1 %i22, i32 %i21, i32 %i19
  store i32 %i6.i8, ptr %arg, align 4, !tbaa !5
  store i32 %i30, ptr %arg1, align 4, !tbaa !5
  ret void
}

attributes #0 = { minsize nounwind optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #1 = { nocallback nofree nosync nounwind willreturn memory(argmem: readwrite) }
attributes #2 = { minsize noinline nounwind optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #3 = { minsize nounwind optsize willreturn memory(read) "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #4 = { minsize noreturn nounwind optsize uwtable "min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #5 = { nocallback nofree nounwind willreturn memory(argmem: readwrite) }
attributes #6 = { minsize optsize "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #7 = { minsize noreturn nounwind optsize "no-trapping-math"="true" "stack-protector-buffer-size"="8" "target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic" }
attributes #8 = { nounwind }
attributes #9 = { minsize optsize }
attributes #10 = { minsize noreturn optsize }
attributes #11 = { minsize nounwind optsize willreturn memory(read) }
attributes #12 = { minsize noreturn nounwind optsize }

!llvm.module.flags = !{!0, !1, !2, !3}
!llvm.ident = !{!4}

!0 = !{i32 1, !"wchar_size", i32 4}
!1 = !{i32 8, !"PIC Level", i32 2}
!2 = !{i32 7, !"PIE Level", i32 2}
!3 = !{i32 7, !"uwtable", i32 2}
!4 = !{!"Karellen, Inc. (https://karellen.co) clang version 17.0.6 (https://github.com/llvm/llvm-project 6009708b4367171ccdbf4b5905cb6a803753fe18)"}
!5 = !{!6, !6, i64 0}
!6 = !{!"int", !7, i64 0}
!7 = !{!"omnipotent char", !8, i64 0}
!8 = !{!"Simple C/C++ TBAA"}
!9 = distinct !{!9, !10}
!10 = !{!"llvm.loop.mustprogress"}
!11 = distinct !{!11, !10}
!12 = distinct !{!12, !10}
!13 = distinct !{!13, !10}
!14 = distinct !{!14, !10}
