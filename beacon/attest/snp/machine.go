package snp

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-sev-guest/abi"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tsm"
)

// ErrNoVCEK reports a machine that does not know its chip's certificate.
var ErrNoVCEK = errors.New("host gave no VCEK certificate: get it from AMD's key server and configure it")

// Machine is a guest on SEV-SNP: an attest.Attester.
type Machine struct {
	VCEK   []byte     // DER; empty: the one that the host provides along with the report
	Client tsm.Client // nil: the running kernel
}

// Platform returns attest.SEVSNP.
func (m Machine) Platform() attest.Platform { return attest.SEVSNP }

// Report asks the kernel for a report over reportData.
func (m Machine) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	report, auxiliary, err := tsm.Report(m.Client, tsm.ProviderSEV, reportData)
	if err != nil {
		return nil, err
	}
	vcek := m.VCEK
	if len(vcek) == 0 {
		table := new(abi.CertTable)
		if err := table.Unmarshal(auxiliary); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoVCEK, err)
		}
		if vcek, err = table.GetByGUIDString(abi.VcekGUID); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoVCEK, err)
		}
	}
	return Encode(report, vcek)
}
