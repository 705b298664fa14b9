package swtpm

import "syscall"

// endsWithParent lets the kernel kill a child when the thread that started it ends.
func endsWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
