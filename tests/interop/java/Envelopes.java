// Bouncy Castle seals and opens CMS for the interop tests, many messages in one run.
//
//   version        its version
//   seal FOLDER    a line of FOLDER/jobs each: OUT KIND HOW CIPHER HKDF; seals FOLDER/content for
//                  KIND.crt (or the shared key, or the passphrase); prints OUT and how it went
//   open FOLDER    opens each OUT of FOLDER/jobs with KIND.key; prints OUT and the content in hex

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.HexFormat;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.PasswordRecipient;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKEMEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

public class Envelopes {
    static final byte[] SECRET = HexFormat.of().parseHex("000102030405060708090a0b0c0d0e0f");
    static final byte[] SECRET_NAME = "july".getBytes(StandardCharsets.US_ASCII);
    static final char[] SPOKEN = "tell nobody".toCharArray();
    static Path folder;

    public static void main(String[] given) throws Exception {
        BouncyCastleProvider provider = new BouncyCastleProvider();
        Security.addProvider(provider);
        if (given[0].equals("version")) {
            System.out.println("Bouncy Castle " + provider.getVersionStr());
            return;
        }
        folder = Path.of(given[1]);
        for (String line : Files.readAllLines(folder.resolve("jobs"))) {
            String[] job = line.split(" ");
            String said;
            try {
                said = given[0].equals("seal") ? seal(job) : open(job);
            } catch (Exception problem) {
                said = "refused " + problem;
            }
            System.out.println(job[0] + " " + said.replace('\n', ' '));
        }
    }

    static String seal(String[] job) throws Exception {
        JceCMSContentEncryptorBuilder builder =
            new JceCMSContentEncryptorBuilder(cipher(job[3])).setProvider("BC");
        OutputEncryptor encryptor = builder.setEnableSha256HKdf(job[4].equals("hkdf")).build();
        CMSProcessableByteArray content =
            new CMSProcessableByteArray(Files.readAllBytes(folder.resolve("content")));
        RecipientInfoGenerator recipient = recipient(job[1], job[2]);
        byte[] made;
        if (encryptor instanceof OutputAEADEncryptor) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            generator.addRecipientInfoGenerator(recipient);
            made = generator.generate(content, (OutputAEADEncryptor) encryptor).getEncoded();
        } else {
            CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
            generator.addRecipientInfoGenerator(recipient);
            made = generator.generate(content, encryptor).getEncoded();
        }
        Files.write(folder.resolve(job[0]), made);
        return "made";
    }

    static String open(String[] job) throws Exception {
        byte[] blob = Files.readAllBytes(folder.resolve(job[0]));
        ContentInfo info = ContentInfo.getInstance(blob);
        boolean tagged = info.getContentType().equals(
            org.bouncycastle.asn1.cms.CMSObjectIdentifiers.authEnvelopedData);
        Iterable<RecipientInformation> all = tagged
            ? new CMSAuthEnvelopedData(blob).getRecipientInfos().getRecipients()
            : new CMSEnvelopedData(blob).getRecipientInfos().getRecipients();
        RecipientInformation first = all.iterator().next();
        return HexFormat.of().formatHex(first.getContent(opener(job[1], tagged)));
    }

    static RecipientInfoGenerator recipient(String kind, String how) throws Exception {
        if (kind.equals("shared")) {
            return new JceKEKRecipientInfoGenerator(
                SECRET_NAME, new SecretKeySpec(SECRET, "AES")).setProvider("BC");
        }
        if (kind.equals("passphrase")) {
            return new JcePasswordRecipientInfoGenerator(CMSAlgorithm.AES256_CBC, SPOKEN)
                .setProvider("BC").setPRF(PasswordRecipient.PRF.HMacSHA256)
                .setSaltAndIterationCount(SECRET, 1000);
        }
        X509Certificate certificate = certificate(kind);
        if (kind.equals("rsa")) {
            if (how.equals("v15")) {
                return new JceKeyTransRecipientInfoGenerator(certificate).setProvider("BC");
            }
            return new JceKeyTransRecipientInfoGenerator(certificate,
                new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
                    PKCSObjectIdentifiers.id_RSAES_OAEP,
                    new javax.crypto.spec.OAEPParameterSpec(
                        "SHA-256", "MGF1", new java.security.spec.MGF1ParameterSpec("SHA-256"),
                        javax.crypto.spec.PSource.PSpecified.DEFAULT))).setProvider("BC");
        }
        if (kind.startsWith("ml-kem")) {
            return new JceKEMRecipientInfoGenerator(certificate, CMSAlgorithm.AES256_WRAP)
                .setProvider("BC").setKDF(new AlgorithmIdentifier(
                    new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3.28")));
        }
        KeyPairGenerator generator = KeyPairGenerator.getInstance(
            certificate.getPublicKey().getAlgorithm(), "BC");
        if (certificate.getPublicKey() instanceof java.security.interfaces.ECPublicKey) {
            generator.initialize(
                ((java.security.interfaces.ECPublicKey) certificate.getPublicKey()).getParams());
        }
        KeyPair pair = generator.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator made = new JceKeyAgreeRecipientInfoGenerator(
            new ASN1ObjectIdentifier(how), pair.getPrivate(), pair.getPublic(),
            CMSAlgorithm.AES256_WRAP);
        return made.addRecipient(certificate).setProvider("BC");
    }

    static Recipient opener(String kind, boolean tagged) throws Exception {
        if (kind.equals("shared")) {
            SecretKeySpec key = new SecretKeySpec(SECRET, "AES");
            return tagged ? new JceKEKAuthEnvelopedRecipient(key).setProvider("BC")
                : new JceKEKEnvelopedRecipient(key).setProvider("BC");
        }
        if (kind.equals("passphrase")) {
            return new JcePasswordEnvelopedRecipient(SPOKEN).setProvider("BC");
        }
        PrivateKey key = KeyFactory.getInstance(certificate(kind).getPublicKey().getAlgorithm(), "BC")
            .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(folder.resolve(kind + ".key"))));
        if (kind.equals("rsa")) {
            return tagged ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC")
                : new JceKeyTransEnvelopedRecipient(key).setProvider("BC");
        }
        if (kind.startsWith("ml-kem")) {
            return new JceKEMEnvelopedRecipient(key).setProvider("BC");
        }
        return tagged ? new JceKeyAgreeAuthEnvelopedRecipient(key).setProvider("BC")
            : new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
    }

    static X509Certificate certificate(String kind) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", "BC").generateCertificate(
            new ByteArrayInputStream(Files.readAllBytes(folder.resolve(kind + ".crt"))));
    }

    static ASN1ObjectIdentifier cipher(String name) {
        switch (name) {
            case "aes-128-cbc": return CMSAlgorithm.AES128_CBC;
            case "aes-192-cbc": return CMSAlgorithm.AES192_CBC;
            case "aes-192-gcm": return CMSAlgorithm.AES192_GCM;
            case "aes-192-ccm": return CMSAlgorithm.AES192_CCM;
            case "aes-256-cbc": return CMSAlgorithm.AES256_CBC;
            case "aes-128-gcm": return CMSAlgorithm.AES128_GCM;
            case "aes-256-gcm": return CMSAlgorithm.AES256_GCM;
            case "aes-128-ccm": return CMSAlgorithm.AES128_CCM;
            case "aes-256-ccm": return CMSAlgorithm.AES256_CCM;
            case "3des-cbc": return CMSAlgorithm.DES_EDE3_CBC;
            case "rc2-128-cbc": return CMSAlgorithm.RC2_CBC;
            default: return new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3.18");
        }
    }
}
