package tpm

import "github.com/google/go-tpm/tpm2"

// ExtendForTest plays the firmware.
func ExtendForTest(address string, e Extend) error {
	t, err := open(address)
	if err != nil {
		return err
	}
	defer t.Close()
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.PCR), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.Digest[:]}}},
	}.Execute(t)
	return err
}
