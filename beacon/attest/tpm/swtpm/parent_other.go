//go:build !linux

package swtpm

import "syscall"

// endsWithParent does nothing where the kernel has no such promise: a software TPM outlives a parent that was killed.
func endsWithParent() *syscall.SysProcAttr { return nil }
