output "role_arn" {
  description = "The role of the gateway."
  value       = aws_iam_role.this.arn
}

output "service_account_annotation" {
  description = "For deployments/kubernetes/serviceaccount.yaml."
  value       = { "eks.amazonaws.com/role-arn" = aws_iam_role.this.arn }
}

output "annotate" {
  description = "The command that puts it there."
  value       = "kubectl annotate serviceaccount ${var.service_account} -n ${var.namespace} --overwrite eks.amazonaws.com/role-arn=${aws_iam_role.this.arn}"
}

output "endpoint_names" {
  description = "By service, the name of its endpoint in this network."
  value       = { for name, one in aws_vpc_endpoint.this : name => one.dns_entry[0].dns_name }
}

output "gateway_instance" {
  description = "What an instance of the gateway says where private_dns is false."
  value = {
    for option, service in { base_url = "bedrock-runtime", control_plane_url = "bedrock" } :
    option => "https://${aws_vpc_endpoint.this[service].dns_entry[0].dns_name}"
    if contains(local.endpoint_services, service)
  }
}
