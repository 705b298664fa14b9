//go:build !linux

package timing

import (
	"errors"
	"io"
)

// ErrHold says that the processors cannot be held out of idle.
var ErrHold = errors.New("processors cannot be held out of their idle states")

// Hold keeps all processors out of idle states that take time to leave; only Linux has what it needs.
func Hold() (io.Closer, error) { return nil, ErrHold }
