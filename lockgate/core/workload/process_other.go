//go:build !linux

package workload

import "time"

// Process is a command under a hold. Holds are made of what Linux offers.
type Process struct{}

// Start says that there is no hold on this system.
func Start(Config) (*Process, error) { return nil, ErrUnsupported }

// Hold says which hold was taken.
func (p *Process) Hold() Hold { return HoldAuto }

// PID is the process id of the command's leader.
func (p *Process) PID() int { return 0 }

// PIDs are the process ids of everything that the command runs now.
func (p *Process) PIDs() []int { return nil }

// Done is closed when the command has ended.
func (p *Process) Done() <-chan struct{} { return nil }

// Exit is how the command ended.
func (p *Process) Exit() (Exit, bool) { return Exit{}, false }

// Freeze stops every process of the command.
func (p *Process) Freeze() error { return ErrUnsupported }

// Thaw lets the command run on.
func (p *Process) Thaw() error { return ErrUnsupported }

// Used is the CPU time of all processes of the command so far.
func (p *Process) Used() (time.Duration, error) { return 0, ErrUnsupported }

// Stop ends the command for good.
func (p *Process) Stop() error { return ErrUnsupported }
