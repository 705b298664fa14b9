package main

import (
	"context"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// inspectorOf looks at beacons before a core lets itself be timed: their results, and evidence by every platform that the directory
// has a root of. Intel's word about processors is the appraiser's to hear; here the entry's minimum security version decides. History
// notices a TPM that was set back between two proofs.
func inspectorOf(trust trustFile, d *directory.Directory, history *tpm.Clocks) (func(context.Context, prober.Presented) error, error) {
	verifiers, err := hardware.Verifiers(d, hardware.Config{History: history, WithoutTCBInfo: true})
	if err != nil {
		return nil, err
	}
	x, err := attest.NewExaminer(false, verifiers...)
	if err != nil {
		return nil, err
	}
	i := attest.Inspector{Examiner: x, Relying: attest.Relying{Directory: d, Audience: trust.Constellation}}
	return func(_ context.Context, p prober.Presented) error {
		_, err := i.Inspect(p.Beacon.ID(), attest.PolicyOf(p.Beacon), p.Result, p.Evidence, p.Nonce, time.Now().UnixNano())
		return err
	}, nil
}
