package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tdxtest "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// tcbInfoDir is a folder with what Intel said about a family of processors in June 2023.
func tcbInfoDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	issuers := func(header map[string][]string, name string) []byte {
		text, err := url.QueryUnescape(header[name][0])
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text)
	}
	for name, data := range map[string][]byte{"tcb-info.json": testdata.TcbInfoBody, "qe-identity.json": testdata.QeIdentityBody,
		"tcb-info-issuers.pem":    issuers(tdxtest.TcbInfoHeader, "Tcb-Info-Issuer-Chain"),
		"qe-identity-issuers.pem": issuers(tdxtest.QeIdentityHeader, "Sgx-Enclave-Identity-Issuer-Chain")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// trustingIntel is a verified directory that lists Intel's root.
func trustingIntel(t *testing.T) *directory.Directory {
	t.Helper()
	root, err := tdx.IntelRoot()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := identity.FromSeed(identity.RoleDirectory, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	beacon, err := identity.FromSeed(identity.RoleBeacon, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: at.UnixNano(), ExpiresUnixNS: at.AddDate(1, 0, 0).UnixNano(),
		AttestRoots: []directory.AttestRoot{{Platform: "tdx", Key: root.Raw}},
		Beacons: []directory.Beacon{{Key: beacon.Public(), Place: "Here", Position: earth.LatLon{Lat: 50, Lon: 8}.ECEF(0).Millimetres(), PosUncMM: 50_000,
			Domains: []string{"a"}, Address: "192.0.2.1:4433", NotBeforeUnixNS: at.UnixNano(), ExpiresUnixNS: at.AddDate(1, 0, 0).UnixNano(),
			Attest: []directory.Expectation{{Platform: "tdx", Measurements: [][]byte{{1}}}}}}}
	signed, err := directory.Sign(d, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := directory.Verify(signed, []identity.Public{signer.Public()}, 1, at.Add(time.Hour).UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A core that has Intel's collateral holds a beacon's TDX quote against it; one that has none leaves that to the appraiser. The quote is
// genuine, by a processor that Intel did not call up to date; its report data was filled by whoever recorded it.
func TestCoresMayHoldBeaconsAgainstCollateral(t *testing.T) {
	t.Parallel()
	quote, err := tdx.Encode(testdata.RawQuote)
	if err != nil {
		t.Fatal(err)
	}
	info := tcbInfoDir(t)
	for _, c := range []struct {
		flags []string
		at    time.Time
		want  error
	}{
		{nil, time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC), tdx.ErrReportData},
		{[]string{"--tcb-info", info}, time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC), tdx.ErrTCBStatus},
		{[]string{"--tcb-info", info}, time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC), attest.ErrCollateralExpired},
		{[]string{"--need-crl"}, time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC), attest.ErrNoCRL},
	} {
		var f inspectFlags
		cmd := &cobra.Command{}
		f.register(cmd)
		if err := cmd.ParseFlags(c.flags); err != nil {
			t.Fatal(err)
		}
		config, err := f.config()
		if err != nil {
			t.Fatal(err)
		}
		verifiers, err := hardware.Verifiers(trustingIntel(t), config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifiers[0].Verify(quote, c.at.UnixNano()); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v, want %v", c.flags, err, c.want)
		}
	}
}

// What cannot be read is told before anything runs.
func TestCoreNeedsItsCollateral(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{"--tcb-info": "tcb-info.json", "--crl": "nowhere"} {
		status, _, errOut := cli("core", "prove", "--dir", t.TempDir(), "--sim-dir", t.TempDir(), "--gate", "https://gate.example.net", flag, filepath.Join(t.TempDir(), "nowhere"))
		if status != exitFailed || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s: exit %d, %s", flag, status, errOut)
		}
	}
}
