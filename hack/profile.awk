# Samples, as `perf script --fields comm,ip,sym` prints them, a paragraph each: by system call, and by kernel function.
$1 ~ "^ *" name " *$" {
    call = "in user mode"
    delete seen
    for (i = 2; i <= NF; i++) {
        if (split($i, frame, " ") < 2 || frame[1] !~ /^ffff/) break
        if (call == "in user mode") call = "interrupts, and to and from user mode"
        if (sub(/^(__(x64|do|se)_sys|ksys)_/, "", frame[2])) call = frame[2]
        else if (frame[2] == "exc_page_fault") call = "page faults"
        else if (frame[2] !~ /^(do_syscall|entry_SYSCALL|x64_sys_call|asm_|vfs_|do_sys_|ret_from_)/) seen[frame[2]]
    }
    all++
    calls[call]++
    for (one in seen) functions[one]++
}
function most(of, count,    one, shown) {
    PROCINFO["sorted_in"] = "@val_num_desc"
    for (one in of) {
        if (++shown > count) break
        printf "%8.0f  %s\n", of[one] * 50 / times, one
    }
}
END {
    printf "%8.0f  all\n", all * 50 / times
    most(calls, 20)
    print "\nof that, in the kernel's functions:"
    most(functions, 30)
}
