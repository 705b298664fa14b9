package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// revocationsDraft is what people write.
type revocationsDraft struct {
	Sequence     uint64        `json:"sequence"`
	Issued       time.Time     `json:"issued"`
	Expires      time.Time     `json:"expires"`
	Machines     []machineName `json:"machines"`
	Measurements []hexString   `json:"measurements"`
	Credentials  []machineName `json:"credentials"`  // SHA-256 of certificates in DER, or of attestation keys' public areas
	Certificates []string      `json:"certificates"` // certificates in PEM: another way to write their credentials
}

func attestRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Signed revocation lists: machines, code, attestation keys and certificates that count no more",
		Long: "A draft is a JSON file with sequence, issued, expires (at most a week later), and lists of machines, measurements,\n" +
			"credentials and certificates. The keepers of reference values sign it as they sign manifests. Appraisers, gates and cores\n" +
			"heed it; past its date they refuse everything until they have a newer one.",
		Example: "  ursa attest revoke sign draft.json --key keepers/manifest-1.key --out revocations.ursa\n" +
			"  ursa attest revoke verify revocations.ursa --keepers keepers/keepers.json",
	}
	cmd.AddCommand(revokeSignCommand(), revokeVerifyCommand())
	return cmd
}

var (
	errNotPEM     = errors.New("is not a certificate in PEM")
	errNoInstants = errors.New("issued and expires are needed: write such as 2026-01-31T00:00:00Z")
)

func (d revocationsDraft) list() (attest.Revocations, error) {
	if d.Issued.IsZero() || d.Expires.IsZero() {
		return attest.Revocations{}, errNoInstants
	}
	r := attest.Revocations{Version: attest.Version, Sequence: d.Sequence, Machines: [][32]byte{}, Measurements: [][]byte{},
		IssuedUnixNS: d.Issued.UnixNano(), ExpiresUnixNS: d.Expires.UnixNano()}
	for _, m := range d.Machines {
		r.Machines = append(r.Machines, m)
	}
	for _, m := range d.Measurements {
		r.Measurements = append(r.Measurements, m)
	}
	for _, c := range d.Credentials {
		r.Credentials = append(r.Credentials, c)
	}
	for i, text := range d.Certificates {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return r, fmt.Errorf("certificate %d %w", i+1, errNotPEM)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return r, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		r.Credentials = append(r.Credentials, attest.Credential(block.Bytes))
	}
	return r, nil
}

func revokeSignCommand() *cobra.Command {
	return keeperSignCommand("list", "  ursa attest revoke sign draft.json --key keepers/manifest-1.key --out revocations.ursa", signRevocations)
}

func signRevocations(name string, data []byte, k *identity.Private) ([]byte, error) {
	if !isJSON(data) {
		signed, err := attest.CosignRevocations(data, k)
		return signed, inFile(name, mistaken(data, kindRevocations, err))
	}
	var d revocationsDraft
	if err := readJSON(name, "a draft of a revocation list", &d); err != nil {
		return nil, err
	}
	r, err := d.list()
	if err != nil {
		return nil, inFile(name, err)
	}
	signed, err := attest.SignRevocations(r, k)
	return signed, inFile(name, err)
}

func revokeVerifyCommand() *cobra.Command {
	var keepers keepersFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify LIST",
		Short:   "Verify that enough keepers signed a list that is in force, and print it",
		Example: "  ursa attest revoke verify revocations.ursa --keepers keepers.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := keepers.revocations(args[0])
			if err != nil {
				return err
			}
			r := revocationRows(*l, nil)
			r[0] = [2]string{"verified", "revocation list"}
			return r.print(cmd, asJSON)
		},
	}
	keepers.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
