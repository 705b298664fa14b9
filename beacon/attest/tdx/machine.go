package tdx

import (
	"context"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tsm"
)

// Machine is a guest on TDX: an attest.Attester.
type Machine struct {
	Client tsm.Client // nil: the running kernel
}

// Platform returns attest.TDX.
func (m Machine) Platform() attest.Platform { return attest.TDX }

// Report asks the kernel for a quote over reportData.
func (m Machine) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	quote, _, err := tsm.Report(m.Client, tsm.ProviderTDX, reportData)
	if err != nil {
		return nil, err
	}
	return Encode(quote)
}
