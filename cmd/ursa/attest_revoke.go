package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
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

var errNotPEM = errors.New("is not a certificate in PEM")

func (d revocationsDraft) list() (attest.Revocations, error) {
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
	if !json.Valid(data) {
		return attest.CosignRevocations(data, k)
	}
	var d revocationsDraft
	if err := readJSON(name, "a draft of a revocation list", &d); err != nil {
		return nil, err
	}
	r, err := d.list()
	if err != nil {
		return nil, err
	}
	return attest.SignRevocations(r, k)
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
			var r rows
			r.add("verified", "revocation list")
			r.add("sequence", "%d", l.Sequence)
			r.add("issued", "%s", instant(l.IssuedUnixNS))
			r.add("expires", "%s", instant(l.ExpiresUnixNS))
			for i, m := range l.Machines {
				r.add(fmt.Sprintf("machine %d", i+1), "%x", m)
			}
			for i, m := range l.Measurements {
				r.add(fmt.Sprintf("code %d", i+1), "%s", hex.EncodeToString(m))
			}
			for i, m := range l.Credentials {
				r.add(fmt.Sprintf("credential %d", i+1), "%x", m)
			}
			return r.print(cmd, asJSON)
		},
	}
	keepers.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
