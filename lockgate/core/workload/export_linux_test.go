package workload

// Guard is the process id of the guard over a command.
func (p *Process) Guard() int { return p.fate.cmd.Process.Pid }
