package pgtemp

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Crash kills one of the server's processes: its n-th child, counted round. The
// server then ends all connections, whatever they were doing, recovers from its
// log and serves again, as after a write of that log that failed. False when
// there is no process to kill, as while it recovers.
func (s *Server) Crash(n uint64) (bool, error) {
	if s.cmd == nil {
		return false, nil
	}
	pid := s.cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return false, fmt.Errorf("pgtemp: %w", err)
	}
	children := strings.Fields(string(b))
	if len(children) == 0 {
		return false, nil
	}
	child, err := strconv.Atoi(children[n%uint64(len(children))])
	if err != nil {
		return false, fmt.Errorf("pgtemp: %w", err)
	}
	return syscall.Kill(child, syscall.SIGKILL) == nil, nil
}
