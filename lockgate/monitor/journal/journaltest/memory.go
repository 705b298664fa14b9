// Package journaltest is a file in memory whose writes can be made to fail, for
// tests of what is kept in a journal.
package journaltest

import (
	"errors"
	"io"
	"slices"
)

// Fault is how a write fails.
type Fault int

// The faults.
const (
	None       Fault = iota
	NotApplied       // an error, and nothing was written
	Torn             // an error, and a part was written
	Applied          // an error, and all was written
)

// ErrFault is what a write that was made to fail returns.
var ErrFault = errors.New("journaltest: made to fail")

// Memory is a file in memory.
type Memory struct {
	Data  []byte
	fault Fault
	torn  int
}

// Bytes is a copy of its content.
func (m *Memory) Bytes() []byte { return slices.Clone(m.Data) }

// Fail makes writes fail from now on; a torn one after so many bytes.
func (m *Memory) Fail(f Fault, after int) { m.fault, m.torn = f, after }

// Clear ends that.
func (m *Memory) Clear() { m.fault = None }

// ReadAt implements io.ReaderAt.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.Data)) {
		return 0, io.EOF
	}
	n := copy(p, m.Data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (m *Memory) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	switch m.fault {
	case NotApplied:
		return 0, ErrFault
	case Torn:
		n = min(m.torn, n)
	}
	if end := int(off) + n; end > len(m.Data) {
		m.Data = append(m.Data, make([]byte, end-len(m.Data))...)
	}
	copy(m.Data[off:], p[:n])
	if m.fault != None {
		return n, ErrFault
	}
	return n, nil
}

// Truncate cuts it off.
func (m *Memory) Truncate(size int64) error {
	m.Data = m.Data[:min(size, int64(len(m.Data)))]
	return nil
}

// Sync does nothing: memory is as durable as it gets.
func (m *Memory) Sync() error { return nil }
