//go:build !linux

package timing

import (
	"errors"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// ErrSteering says that this system does not steer packets to sockets as asked.
var ErrSteering = errors.New("packets cannot be steered to a socket of their own")

// Steer opens a steered port; only Linux has what it needs.
func Steer(_, _ string, _ stamp.Clock, _ exchange.Mode) (Socket, error) { return nil, ErrSteering }
