package workload

// Guard is the process id of the guard over a command.
func (p *Process) Guard() int { return p.fate.cmd.Process.Pid }

// Hinder keeps one process from running, and so from dying, until it is let go.
func Hinder(pid int) (let func(), err error) {
	c, err := newCgroup1()
	if err != nil {
		return nil, err
	}
	let = func() { _ = c.thaw(); c.release() }
	if err = c.adopt(pid); err == nil {
		still(c)
		var stands bool
		if stands, err = c.frozen(); err == nil && !stands {
			err = ErrNotFrozen
		}
	}
	if err != nil {
		let()
		return nil, err
	}
	return let, nil
}
