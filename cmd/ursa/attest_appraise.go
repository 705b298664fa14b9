package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// attestAppraiseCommand turns evidence into a result, which beacons and cores present with --attest-result.
func attestAppraiseCommand() *cobra.Command {
	var keys keyFlags
	var trust trustFlags
	var about aboutFlags
	var keepers keepersFlags
	var manifests []string
	var key, audience, revocations, out string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "appraise EVIDENCE",
		Short: "Appraise evidence against manifests and sign the result",
		Long: "Applies every rule of appraisal and signs an affirming result with the appraiser's key. Beacons and cores present it with\n" +
			"--attest-result; it holds for at most an hour.",
		Example: "  ursa attest appraise evidence.ursa --subject ID --nonce HEX --root maker.pem --enroller appraiser.json \\\n" +
			"    --manifest manifest.ursa --keepers keepers.json --key appraiser.key --audience demo --out result.ursa",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "manifest", "keepers", "key", "audience", "out"); err != nil {
				return err
			}
			subject, nonce, err := about.read(cmd)
			if err != nil {
				return err
			}
			data, err := readLimited(args[0], attest.MaxEvidenceSize)
			if err != nil {
				return err
			}
			protect, err := keys.protector(cmd, false)
			if err != nil {
				return err
			}
			k, err := identity.LoadKey(key, protect)
			if err != nil {
				return err
			}
			a, err := newAppraiser(data, &trust, &keepers, manifests, attest.AppraiserConfig{Key: k, Audience: audience, TTL: ttl})
			if err != nil {
				return err
			}
			now := time.Now().UnixNano()
			if err := heedRevocations(a, revocations, &keepers); err != nil {
				return err
			}
			result, err := a.Appraise(data, attest.Want{Subject: subject, Nonce: nonce, NowUnixNS: now})
			if err != nil {
				return err
			}
			return writeWhole(out, result, 0o644)
		},
	}
	keys.register(cmd)
	trust.register(cmd)
	about.register(cmd)
	keepers.register(cmd)
	cmd.Flags().StringSliceVar(&manifests, "manifest", nil, "signed manifest `FILE` that must name what runs")
	cmd.Flags().StringVar(&revocations, "revocations", "", "signed revocation list `FILE`")
	cmd.Flags().StringVar(&key, "key", "", "the appraiser's key `FILE`")
	cmd.Flags().StringVar(&audience, "audience", "", "`NAME` of the constellation that may rely on the result")
	cmd.Flags().DurationVar(&ttl, "ttl", attest.MaxResultTTL, "how long the result holds, at most an hour")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the result")
	return cmd
}

// newAppraiser makes an appraiser for one piece of evidence. A policy names measurements together with the configuration they were
// measured with. Manifests are about builds, so here any measured configuration will do; which one a beacon must have stands in its
// directory entry, against which the result is held again by everybody who relies on it.
func newAppraiser(data []byte, trust *trustFlags, keepers *keepersFlags, manifests []string, c attest.AppraiserConfig) (*attest.Appraiser, error) {
	e, err := attest.DecodeEvidence(data)
	if err != nil {
		return nil, err
	}
	v, err := trust.verifier(e.Platform)
	if err != nil {
		return nil, err
	}
	claims, err := v.Verify(e.Body, time.Now().UnixNano())
	if err != nil {
		return nil, err
	}
	if c.Policy, err = keepers.policy(manifests, claims, e.Platform); err != nil {
		return nil, err
	}
	c.Verifiers = []attest.Verifier{v}
	return attest.NewAppraiser(c)
}

// heedRevocations puts a list into use, if one is given.
func heedRevocations(a *attest.Appraiser, name string, f *keepersFlags) error {
	if name == "" {
		return nil
	}
	list, err := f.revocations(name)
	if err != nil {
		return err
	}
	return a.SetRevocations(list)
}

// revocations reads and verifies a revocation list.
func (f *keepersFlags) revocations(name string) (*attest.Revocations, error) {
	keepers, err := f.keepers()
	if err != nil {
		return nil, err
	}
	data, err := readLimited(name, attest.MaxSigned)
	if err != nil {
		return nil, err
	}
	list, err := attest.VerifyRevocations(data, keepers, time.Now().UnixNano())
	if err != nil {
		return nil, fmt.Errorf("revocation list %s: %w", name, mistaken(data, kindRevocations, err))
	}
	return list, nil
}
