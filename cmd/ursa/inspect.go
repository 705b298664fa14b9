package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// inspectFlags give a core lists of its own to hold beacons against: of withdrawn machines, and what their manufacturers say.
type inspectFlags struct {
	revocations  string
	keepers      keepersFlags
	manufacturer collateralFlags
}

func (f *inspectFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.revocations, "attest-revocations", "", "signed revocation list `FILE` ('ursa attest revoke') to hold beacons against; read again for every proof")
	f.keepers.register(cmd)
	f.manufacturer.register(cmd)
	_ = cmd.Flags().MarkHidden("minimum") // of manifests
}

// config reads what manufacturers say. A core that was given TCB info for some families of processors refuses the others.
func (f *inspectFlags) config() (hardware.Config, error) {
	c, err := f.manufacturer.config()
	c.WithoutTCBInfo = c.WithoutTCBInfo || len(c.Collateral) == 0
	return c, err
}

// inspectorOf looks at beacons before a core lets itself be timed: their results, and evidence by every platform that the directory
// has a root of. Without --tcb-info Intel's word about processors is the appraiser's to hear, and here the entry's minimum security
// version decides. History notices a TPM that was set back between two proofs.
func (f *inspectFlags) inspectorOf(trust trustFile, d *directory.Directory, history *tpm.Clocks) (func(context.Context, prober.Presented) error, error) {
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	c.History = history
	verifiers, err := hardware.Verifiers(d, c)
	if err != nil {
		return nil, err
	}
	i := attest.Inspector{Relying: attest.Relying{Directory: d, Audience: trust.Constellation}}
	if i.Examiner, err = attest.NewExaminer(false, verifiers...); err != nil {
		return nil, err
	}
	if f.revocations != "" {
		if i.Relying.Revocations, err = f.keepers.revocations(f.revocations); err != nil {
			return nil, err
		}
		if err := i.Examiner.SetRevocations(i.Relying.Revocations); err != nil {
			return nil, err
		}
	}
	return func(_ context.Context, p prober.Presented) error {
		_, err := i.Inspect(p.Beacon.ID(), attest.PolicyOf(p.Beacon), p.Result, p.Evidence, p.Nonce, time.Now().UnixNano())
		return err
	}, nil
}
