# terraform apply -var-file=example.tfvars, with your own values.
region       = "us-east-1"
cluster_name = "llm"
vpc_id       = "vpc-0123456789abcdef0"
subnet_ids   = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]

# Claude alone, in the regions of its American profile.
model_arns = [
  "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-*",
  "arn:aws:bedrock:us-east-2::foundation-model/anthropic.claude-*",
  "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-*",
]
