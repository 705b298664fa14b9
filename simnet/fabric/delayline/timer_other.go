//go:build !linux

package delayline

func newFineTimer() timer { return newGoTimer() }
