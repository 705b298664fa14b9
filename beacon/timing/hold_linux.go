package timing

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrHold says that the processors cannot be held out of idle.
var ErrHold = errors.New("processors cannot be held out of their idle states")

// Hold keeps all processors out of idle states that take time to leave, until it is closed: PM-QoS, /dev/cpu_dma_latency with 0 µs
// (Linux Documentation/power/pm_qos_interface.rst). It costs power and needs write access to that device.
func Hold() (io.Closer, error) {
	f, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHold, err)
	}
	if _, err := f.Write([]byte{0, 0, 0, 0}); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %w", ErrHold, err)
	}
	return f, nil
}
