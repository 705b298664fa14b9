// Package tsm asks the kernel for reports of confidential machines through /sys/kernel/config/tsm/report (Linux 6.7 and later), the
// one door that SEV-SNP and TDX share.
//
// What it believes: the kernel names its provider truthfully; a report is bytes to be verified by somebody else. What it promises: the
// report asked for with this data, not one of another process that wrote to the same entry in between (the library counts generations
// and tries again). It says plainly when the kernel has no such door.
package tsm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/linuxtsm"
	"github.com/google/go-configfs-tsm/report"
)

// The names of providers that the kernel uses.
const (
	ProviderSEV = "sev_guest"
	ProviderTDX = "tdx_guest"
)

// The refusals.
var (
	ErrNone     = errors.New("this kernel offers no reports of a confidential machine (no /sys/kernel/config/tsm/report)")
	ErrProvider = errors.New("this machine is a confidential machine of another kind")
)

// Client is the file system of the kernel's door; tests bring their own.
type Client = configfsi.Client

// Report returns a provider's report over reportData, padded with zeros to the 64 bytes of the hardware, and what the host gave along
// with it (certificates, or nothing). A nil client is the running kernel.
func Report(client Client, provider string, reportData [32]byte) (out, auxiliary []byte, err error) {
	if client == nil {
		if client, err = linuxtsm.MakeClient(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrNone, err)
		}
	}
	in := make([]byte, 64)
	copy(in, reportData[:])
	r, err := report.Get(client, &report.Request{InBlob: in, GetAuxBlob: provider == ProviderSEV})
	if err != nil {
		return nil, nil, fmt.Errorf("asking the kernel for a report: %w", err)
	}
	if got := strings.TrimSpace(r.Provider); got != "" && got != provider { // the kernel ends the name with a newline
		return nil, nil, fmt.Errorf("%w: %q, want %q", ErrProvider, got, provider)
	}
	return r.OutBlob, r.AuxBlob, nil
}
