package pgtemp

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Crash kills one of the server's processes: its n-th child, counted round. The
// server then ends all connections, whatever they were doing, recovers from its
// log and serves again, as after a write of that log that failed. False when it
// is recovering: a second blow would end it for good.
func (s *Server) Crash(n uint64) (bool, error) {
	if s.cmd == nil {
		return false, nil
	}
	pid := s.cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return false, fmt.Errorf("pgtemp: %w", err)
	}
	var children []int
	for _, f := range strings.Fields(string(b)) {
		child, err := strconv.Atoi(f)
		if err != nil {
			return false, fmt.Errorf("pgtemp: %w", err)
		}
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if bytes.HasPrefix(title, []byte("postgres: startup")) {
			return false, nil
		}
		if bytes.HasPrefix(title, []byte("postgres: ")) { // else it does not say yet what it is
			children = append(children, child)
		}
	}
	if len(children) == 0 {
		return false, nil
	}
	return syscall.Kill(children[n%uint64(len(children))], syscall.SIGKILL) == nil, nil
}
